//! Lapidary: Gemma-2 on your own GPU.

mod cli;
mod guide;

fn main() -> std::process::ExitCode {
    cli::main()
}
