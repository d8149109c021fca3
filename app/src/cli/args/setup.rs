//! The arguments of the commands that make Lapidary part of a system.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Args)]
pub(crate) struct Desktop {
    #[command(subcommand)]
    pub(crate) command: DesktopCommand,
}

#[derive(Subcommand)]
pub(crate) enum DesktopCommand {
    /// Add this program to the menu and to the programs that open .gguf files, for the present user
    Install,
    /// Undo that
    Uninstall,
    /// Write the same files for a package: below FOLDER, for a program that is in PATH
    Files {
        /// The folder that stands for /usr/share
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Args)]
pub(crate) struct Man {
    /// Write the pages of all commands to this folder instead
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
}
