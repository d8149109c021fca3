//! Lapidary: Gemma-2 on your own GPU.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
