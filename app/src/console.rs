//! The console of Windows.
//!
//! The program is a console program, so that shells wait for it and its chat in the terminal can read what is typed. Windows then
//! gives it a console also where it is started from the desktop. Since Windows 11 24H2 the manifest that `build.rs` writes
//! prevents that; elsewhere the window lets go of the console, which closes it.

use windows_sys::Win32::System::Console::{
    ENABLE_VIRTUAL_TERMINAL_PROCESSING, FreeConsole, GetConsoleMode, GetConsoleProcessList, GetStdHandle,
    STD_ERROR_HANDLE, STD_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, SetConsoleMode, SetStdHandle,
};

/// Lets the consoles of standard output and standard error understand escape sequences, and returns whether they do. What is no
/// console needs not be asked: the terminal of Git for Windows, which is a pipe, understands them.
pub fn takes_escape_sequences() -> bool {
    let take = |name: STD_HANDLE| {
        let mut mode = 0;
        // SAFETY: `mode` outlives the call. A handle that is no console's is refused.
        let is_console = unsafe { GetConsoleMode(GetStdHandle(name), &mut mode) } != 0;
        // SAFETY: it takes no pointers.
        !is_console || unsafe { SetConsoleMode(GetStdHandle(name), mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING) } != 0
    };
    // Both are to be changed, also where the first does not permit it.
    [STD_OUTPUT_HANDLE, STD_ERROR_HANDLE].map(take) == [true; 2]
}

/// Closes the console if it was made for this program alone. Later output is discarded.
pub(crate) fn close_own() {
    let mut programs = [0; 2];
    // SAFETY: the pointer and the length are those of an array, which outlives the call.
    let count = unsafe { GetConsoleProcessList(programs.as_mut_ptr(), programs.len() as u32) };
    if count == 1 {
        // The handles end with the console. A file that is opened later may get the number of one, and would get the output.
        for name in [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE] {
            let mut mode = 0;
            // SAFETY: `mode` outlives the call. A handle that is no console's is refused.
            if unsafe { GetConsoleMode(GetStdHandle(name), &mut mode) } != 0 {
                // SAFETY: the handle is only stored, and null stands for none.
                unsafe { SetStdHandle(name, std::ptr::null_mut()) };
            }
        }
        // SAFETY: it takes no pointers.
        unsafe { FreeConsole() };
    }
}
