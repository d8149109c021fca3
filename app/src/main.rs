//! Lapidary: Gemma-2 on your own GPU.

// No console window beside ours.
#![cfg_attr(all(windows, not(debug_assertions)), windows_subsystem = "windows")]

mod cli;

fn main() -> std::process::ExitCode {
    #[cfg(windows)]
    attach_console();
    cli::main()
}

/// A program without a console of its own writes nowhere, unless it takes the one that it was started from.
#[cfg(windows)]
fn attach_console() {
    use windows_sys::Win32::System::Console::{ATTACH_PARENT_PROCESS, AttachConsole};
    // SAFETY: it takes no pointers; where there is no console it fails, and nothing is written then.
    unsafe { AttachConsole(ATTACH_PARENT_PROCESS) };
}
