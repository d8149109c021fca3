//! `lapidary tokenize`: the ids and pieces of a text. Needs no GPU.

use std::io::{self, Write};

use lapidary_engine::tokenizer::Tokenizer;
use serde_json::json;

use super::args;
use super::failure::Failure;
use super::load::{open, text_or_stdin};

pub(crate) fn tokenize(arguments: &args::Tokenize) -> Result<(), Failure> {
    let files = open(arguments.model.as_deref())?;
    let tokenizer = Tokenizer::load(files.tokenizer(), files.config().vocab_size)?;
    let ids = tokenizer.encode(&text_or_stdin(&arguments.text)?)?;
    let pieces: Vec<String> = ids.iter().map(|id| tokenizer.piece(*id).unwrap_or_default()).collect();
    let mut out = io::BufWriter::new(io::stdout().lock());
    if arguments.json {
        writeln!(out, "{}", json!({"ids": ids, "pieces": pieces}))?;
    } else {
        for (id, piece) in ids.iter().zip(&pieces) {
            writeln!(out, "{id:>7} {piece:?}")?;
        }
    }
    Ok(out.flush()?)
}
