//! `lapidary logits`: the logits of every position, as a safetensors file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use lapidary_engine::Session;
use serde_json::json;

use super::args;
use super::failure::Failure;
use super::interrupt::Busy;
use super::load::engine;

pub(crate) fn logits(arguments: &args::Logits) -> Result<(), Failure> {
    let out = &arguments.out;
    let failed = |error: io::Error| Failure::Failed(format!("cannot write {}: {error}", out.display()));
    // Whole or not at all: a file that is there is a file that is finished.
    let mut name = out.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = Path::new(&name);
    // Before the model is loaded, so that a wrong path is found at once.
    let file = File::create(part).map_err(failed)?;
    let result = (|| {
        let engine = engine(&arguments.model)?;
        let mut session = engine.session_blocking()?;
        write_logits(&mut session, &arguments.tokens.0, file, &failed)?;
        fs::rename(part, out).map_err(failed)
    })();
    if result.is_err() {
        // It may never have got that far.
        let _ = fs::remove_file(part);
    }
    result
}

/// The header, then rows as they come: all of them together need not fit in memory.
fn write_logits(
    session: &mut Session,
    tokens: &[u32],
    file: File,
    failed: &dyn Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    let vocab_size = session.engine().config().vocab_size;
    let bytes = 4 * tokens.len() * vocab_size;
    let tensor = json!({"dtype": "F32", "shape": [tokens.len(), vocab_size], "data_offsets": [0, bytes]});
    let mut header = json!({ "logits": tensor }).to_string();
    // The format wants data aligned to 8 bytes.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));

    let busy = Busy::new();
    let mut out = BufWriter::new(file);
    let mut written =
        out.write_all(&(header.len() as u64).to_le_bytes()).and_then(|()| out.write_all(header.as_bytes()));
    session
        .logits_blocking(tokens, 0, |_, row| {
            written = std::mem::replace(&mut written, Ok(()))
                .and_then(|()| row.iter().try_for_each(|logit| out.write_all(&logit.to_le_bytes())));
            written.is_ok() && !busy.interrupted()
        })
        // A failed write ends it as if cancelled; the write's own error says more.
        .or_else(|error| if written.is_err() { Ok(()) } else { Err(error) })?;
    written.and_then(|()| out.flush()).map_err(failed)
}
