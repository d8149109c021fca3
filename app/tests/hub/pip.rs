//! Python packages for tests, each installed once into a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Python that can import a package, in this version; `None`, with a message, where pip cannot install it. With CI=true that is
/// a failure.
pub(crate) fn python_with(module: &str, version: &str, what: &str) -> Option<Python> {
    python_with_some(module, version, None, what)
}

/// The same, with these packages in place of all that the package requires.
pub(crate) fn python_with_some(module: &str, version: &str, others: Option<&[&str]>, what: &str) -> Option<Python> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let python = Python { folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{module}-{version}")) };
    let installed = || {
        let output = python.command().args(["-c", &format!("import {module}")]).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !installed()
        && let Ok(part) = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
    {
        let pip = |packages: &[&str]| {
            let pip = "-m pip --disable-pip-version-check --no-input install --quiet --root-user-action ignore";
            let pip = pip.split(' ').chain(["--only-binary", ":all:"]);
            let mut command = Command::new("python3");
            command.args(pip).arg("--target").arg(part.path()).args(packages);
            command.status().is_ok_and(|status| status.success())
        };
        let package = format!("{module}=={version}");
        let complete = match others {
            None => pip(&[&package]),
            Some(others) => pip(&["--no-deps", &package]) && pip(others),
        };
        // The folder appears when the package is complete, also where this is killed.
        if complete {
            let _ = std::fs::remove_dir_all(&python.folder);
            let _ = std::fs::rename(part.path(), &python.folder);
        }
    }
    if installed() {
        return Some(python);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "Python's pip cannot install {module}");
    eprintln!("SKIPPED: {what}, because pip cannot install {module}");
    None
}

/// Python with a package.
pub(crate) struct Python {
    folder: PathBuf,
}

impl Python {
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", &self.folder);
        command
    }
}
