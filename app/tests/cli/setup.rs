//! Help, shell completions, manual pages, and the entry in the menu of the desktop.

use crate::{lapidary, refuses, run};

#[test]
fn help_wraps_and_says_how_the_window_is_opened() {
    for arguments in [&["--help"][..], &["-h"], &["run", "--help"], &["chats", "export", "--help"]] {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!((status, stderr.as_str()), (Some(0), ""));
        let longest = stdout.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= 100, "{arguments:?}: a line has {longest} columns");
    }
    for help in ["--help", "-h"] {
        let (_, stdout, _) = run(&[help]);
        assert!(stdout.contains("lapidary alone opens the window"), "{stdout}");
    }
}

#[test]
fn completions_and_manual_pages_are_complete() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (status, stdout, stderr) = run(&["completions", shell]);
        assert_eq!((status, stderr.as_str()), (Some(0), ""));
        assert!(stdout.contains("perplexity") && stdout.contains("repetition-penalty"), "{shell}");
    }
    refuses(&["completions", "tcsh"], 2, &["tcsh", "bash"]);
    let (status, stdout, _) = run(&["man"]);
    assert_eq!(status, Some(0));
    assert!(stdout.contains(".TH lapidary 1") && stdout.contains("perplexity"), "{stdout}");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man1");
    assert_eq!(run(&["man", "--out", out.to_str().unwrap()]).0, Some(0));
    let page = std::fs::read_to_string(out.join("lapidary-run.1")).unwrap();
    assert!(page.contains("temperature"), "{page}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_menu_entry_starts_this_program_and_can_be_removed() {
    let home = tempfile::tempdir().unwrap();
    let desktop = |what: &str| {
        let output = lapidary(&["desktop", what]).env("XDG_DATA_HOME", home.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let entry = home.path().join("applications/lapidary.desktop");
    desktop("install");
    let text = std::fs::read_to_string(&entry).unwrap();
    let program = std::fs::canonicalize(env!("CARGO_BIN_EXE_lapidary")).unwrap();
    assert!(text.contains(&format!("Exec=\"{}\" %f", program.display())), "{text}");
    // From an AppImage, whose mounted folder is another at each start.
    let image = home.path().join("Lapidary.AppImage");
    std::fs::write(&image, "").unwrap();
    let install_from = |folder: &std::path::Path, image: &std::path::Path| {
        let mut command = lapidary(&["desktop", "install"]);
        command.env("XDG_DATA_HOME", home.path()).env("APPDIR", folder).env("APPIMAGE", image);
        assert_eq!(command.output().unwrap().status.code(), Some(0));
        std::fs::read_to_string(&entry).unwrap()
    };
    let mounted = program.parent().unwrap();
    assert!(install_from(mounted, &image).contains(&format!("Exec=\"{}\" %f", image.display())));
    for (folder, image) in [(home.path(), &*image), (mounted, &home.path().join("gone")), (mounted, "x".as_ref())] {
        assert!(install_from(folder, image).contains(&format!("Exec=\"{}\" %f", program.display())));
    }
    desktop("uninstall");
    assert!(!entry.exists());
}

#[test]
fn a_file_in_the_way_of_the_package_files_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("applications");
    std::fs::write(&path, "").unwrap();
    if cfg!(target_os = "linux") {
        refuses(&["desktop", "files", folder.path().to_str().unwrap()], 1, &["cannot write", "applications"]);
    }
}
