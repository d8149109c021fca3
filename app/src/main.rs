//! Lapidary: Gemma-2 on your own GPU.

// Without this, Windows opens a console next to the window.
#![cfg_attr(all(windows, not(debug_assertions)), windows_subsystem = "windows")]

mod cli;

fn main() -> std::process::ExitCode {
    #[cfg(windows)]
    attach_console();
    cli::main()
}

/// Attaches to the console that the program was started from, because a windowed program has none to write to.
#[cfg(windows)]
fn attach_console() {
    use windows_sys::Win32::System::Console::{ATTACH_PARENT_PROCESS, AttachConsole};
    // SAFETY: it takes no pointers. Without a console it fails, and output is discarded.
    unsafe { AttachConsole(ATTACH_PARENT_PROCESS) };
}
