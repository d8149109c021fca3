//! Lapidary: Gemma-2 and Gemma-3 on your own GPU.

mod cli;

fn main() -> std::process::ExitCode {
    // Also where it fails: each command asks again before it relies on it.
    #[cfg(windows)]
    lapidary_app::console::takes_escape_sequences();
    cli::main()
}
