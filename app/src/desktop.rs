//! The files that make Lapidary a program of a Linux desktop: its menu entry, description, icons, and the type of `.gguf`
//! files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::icon::icon;

/// The sides of the icons in pixels, as in the theme hicolor.
const ICON_SIZES: [u32; 8] = [16, 24, 32, 48, 64, 128, 256, 512];
const ENTRY: &str = include_str!("../packaging/linux/lapidary.desktop");
const METAINFO: &str = include_str!("../packaging/linux/io.github.lapidary.Lapidary.metainfo.xml");
const MIME: &str = include_str!("../packaging/linux/lapidary-gguf.xml");

/// Writes the files below `share`, which stands for `/usr/share` or `~/.local/share`. `program` is how the menu starts
/// Lapidary: an absolute path, or a name in `PATH`.
///
/// # Errors
/// If a file cannot be written. The error does not name it; the path does.
pub fn write_files(share: &Path, program: &Path) -> Result<(), (PathBuf, io::Error)> {
    for (path, content) in files(program).map_err(|error| (program.to_owned(), error))? {
        let path = share.join(path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, content));
        written.map_err(|error| (path, error))?;
    }
    Ok(())
}

/// Removes the files that [`write_files`] writes. Files that are not there are ignored.
///
/// # Errors
/// If a file cannot be removed.
pub fn remove_files(share: &Path) -> Result<(), (PathBuf, io::Error)> {
    for (path, _) in files(Path::new("lapidary")).map_err(|error| (share.to_owned(), error))? {
        let path = share.join(path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err((path, error)),
            _ => {}
        }
    }
    Ok(())
}

/// Makes a running desktop notice the files below `share`, as far as its programs for that are installed.
pub fn refresh(share: &Path) {
    for (program, folder) in [("update-mime-database", "mime"), ("update-desktop-database", "applications")] {
        let mut command = Command::new(program);
        command.arg(share.join(folder)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = command.status() {
            log::debug!("{program} cannot be run: {error}");
        }
    }
}

/// The paths and contents of the files.
fn files(program: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let text = program.to_str().ok_or_else(|| io::Error::other("the path of the program is not Unicode"))?;
    if text.contains(char::is_control) {
        return Err(io::Error::other("the path of the program has control characters"));
    }
    let entry = ENTRY.replace("@TRY_EXEC@", &escaped(text)).replace("@EXEC@", &quoted(text));
    let metainfo = METAINFO.replace("@VERSION@", env!("CARGO_PKG_VERSION")).replace("@DATE@", RELEASED);
    let mut files = vec![
        (PathBuf::from("applications/lapidary.desktop"), entry.into_bytes()),
        ("metainfo/io.github.lapidary.Lapidary.metainfo.xml".into(), metainfo.into_bytes()),
        ("mime/packages/lapidary-gguf.xml".into(), MIME.into()),
    ];
    for size in ICON_SIZES {
        files.push((format!("icons/hicolor/{size}x{size}/apps/lapidary.png").into(), png(size)?));
    }
    Ok(files)
}

/// The date of the release, which changes with the version.
const RELEASED: &str = "2026-11-29";

/// A string as the value of a key.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\")
}

/// A program in a command line of the key `Exec`: its characters are escaped inside quotes, and then in the string.
fn quoted(program: &str) -> String {
    let mut argument = String::from("\"");
    for c in program.chars() {
        match c {
            '"' | '`' | '$' | '\\' => argument.extend(['\\', c]),
            '%' => argument.push_str("%%"),
            c => argument.push(c),
        }
    }
    argument.push('"');
    escaped(&argument)
}

fn png(size: u32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size, size);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(&icon(size)).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_removed() {
        let share = tempfile::tempdir().unwrap();
        let kept = share.path().join("applications/other.desktop");
        fs::create_dir_all(kept.parent().unwrap()).unwrap();
        fs::write(&kept, "").unwrap();
        write_files(share.path(), Path::new("/opt/my apps/lapidary")).unwrap();
        let entry = fs::read_to_string(share.path().join("applications/lapidary.desktop")).unwrap();
        assert!(entry.contains("\nTryExec=/opt/my apps/lapidary\nExec=\"/opt/my apps/lapidary\" %f\n"), "{entry}");
        let icon = fs::read(share.path().join("icons/hicolor/48x48/apps/lapidary.png")).unwrap();
        assert!(icon.starts_with(b"\x89PNG"));
        remove_files(share.path()).unwrap();
        let left: Vec<_> =
            files(Path::new("x")).unwrap().into_iter().filter(|(path, _)| share.path().join(path).exists()).collect();
        assert!(left.is_empty() && kept.exists());
        remove_files(share.path()).unwrap();
    }

    #[test]
    fn no_character_of_a_path_is_read_as_syntax() {
        assert_eq!(quoted("/a b/$x`\"%f"), r#""/a b/\\$x\\`\\"%%f""#);
        assert_eq!(quoted(r"C:\x"), r#""C:\\\\x""#);
        assert!(files(Path::new("/a\nExec=rm")).is_err());
    }
}
