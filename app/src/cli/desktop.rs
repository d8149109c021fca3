//! `lapidary desktop`: the entry in the menu of a Linux desktop.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lapidary_app::data_folder::data_folder;
use lapidary_app::desktop;

use super::args::{Desktop, DesktopCommand};
use super::failure::Failure;

pub(crate) fn desktop(arguments: &Desktop) -> Result<(), Failure> {
    match &arguments.command {
        // Packages for other systems take the icons from here.
        DesktopCommand::Files { folder } => write(folder, Path::new("lapidary")),
        _ if !cfg!(target_os = "linux") => Err(Failure::Failed("this works on Linux desktops only".into())),
        DesktopCommand::Install => {
            let share = share()?;
            let program = program()?;
            write(&share, &program)?;
            desktop::refresh(&share);
            let (program, share) = (program.display(), share.display());
            Ok(writeln!(
                io::stdout(),
                "The menu now starts {program}, which must stay there. Its files are in {share}."
            )?)
        }
        DesktopCommand::Uninstall => {
            let share = share()?;
            desktop::remove_files(&share).map_err(|(path, error)| failed("remove", &path, &error))?;
            desktop::refresh(&share);
            Ok(writeln!(io::stdout(), "Lapidary is no longer in the menu. Its chats and settings are kept.")?)
        }
    }
}

/// The file that starts this program. An AppImage is mounted at another place at each start, and says in a variable where its
/// file is. Programs that it starts inherit the variable, so it counts only where this program is in the mounted folder.
fn program() -> Result<PathBuf, Failure> {
    let program = env::current_exe()
        .map_err(|error| Failure::Failed(format!("this program's own file cannot be found: {error}")))?;
    let is_mounted = env::var_os("APPDIR").is_some_and(|folder| !folder.is_empty() && program.starts_with(folder));
    let image = env::var_os("APPIMAGE").map(PathBuf::from).filter(|image| image.is_absolute() && image.is_file());
    Ok(image.filter(|_| is_mounted).unwrap_or(program))
}

fn write(share: &Path, program: &Path) -> Result<(), Failure> {
    desktop::write_files(share, program).map_err(|(path, error)| failed("write", &path, &error))
}

/// The user's own `share` folder, which also holds the data folder.
fn share() -> Result<PathBuf, Failure> {
    let share = data_folder().and_then(|folder| folder.parent().map(Path::to_owned));
    share.ok_or_else(|| Failure::Failed("this user has no home folder; set XDG_DATA_HOME".into()))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("cannot {what} {}: {error}", path.display()))
}
