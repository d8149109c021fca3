//! `lapidary completions` and `lapidary man`: files that shells and `man` read, made from the arguments.

use std::io::{self, Write};

use clap::CommandFactory;

use super::args::{Arguments, Completions, Man};
use super::failure::Failure;

pub(crate) fn completions(arguments: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "lapidary", &mut script);
    Ok(io::stdout().write_all(&script)?)
}

pub(crate) fn man(arguments: &Man) -> Result<(), Failure> {
    let command = Arguments::command();
    if let Some(folder) = &arguments.out {
        let failed = |error: io::Error| Failure::Failed(format!("cannot write to {}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
        return clap_mangen::generate_to(command, folder).map_err(failed);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(io::stdout().write_all(&page)?)
}
