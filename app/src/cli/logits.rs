//! `lapidary logits`: the logits of every position, as a safetensors file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use lapidary_engine::Session;
use serde_json::json;

use super::args;
use super::failure::Failure;
use super::interrupt::Busy;
use super::load::{engine, open};

pub(crate) fn logits(arguments: &args::Logits) -> Result<(), Failure> {
    let (tokens, out) = (&arguments.tokens.0, &arguments.out);
    let files = open(arguments.model.model.as_deref())?;
    let failed = |error: io::Error| Failure::Failed(format!("cannot write {}: {error}", out.display()));
    let measure = |file: File| {
        let busy = Busy::new();
        let engine = engine(files, &arguments.model, Some(tokens.len()), &busy)?;
        let mut session = busy.wait(engine.session())?;
        write_logits(&mut session, tokens, file, &busy, &failed)
    };
    // The file is created before the model is loaded, so that a wrong path is found at once.
    if out.exists() && !out.is_file() {
        // A pipe or a device is written directly, because it must not be replaced. Opening a folder fails here.
        return measure(File::create(out).map_err(failed)?);
    }
    // Written to a temporary file and renamed, so that a file under the final name is complete.
    let mut name = out.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = Path::new(&name);
    let file = File::create(part).map_err(failed)?;
    let result = measure(file).and_then(|()| fs::rename(part, out).map_err(failed));
    if result.is_err() {
        // The temporary file may be gone, so an error here is ignored.
        let _ = fs::remove_file(part);
    }
    result
}

/// Writes the header, then each row as it is computed, so that not all rows need to fit in memory.
fn write_logits(
    session: &mut Session,
    tokens: &[u32],
    file: File,
    busy: &Busy,
    failed: &dyn Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    let vocab_size = session.engine().config().vocab_size;
    let bytes = 4 * tokens.len() * vocab_size;
    let tensor = json!({"dtype": "F32", "shape": [tokens.len(), vocab_size], "data_offsets": [0, bytes]});
    let mut header = json!({ "logits": tensor }).to_string();
    // The format requires data aligned to 8 bytes.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));

    let mut out = BufWriter::new(file);
    let mut written =
        out.write_all(&(header.len() as u64).to_le_bytes()).and_then(|()| out.write_all(header.as_bytes()));
    let computed = busy.wait(session.logits(tokens, 0, |_, row| {
        if written.is_ok() {
            written = row.iter().try_for_each(|logit| out.write_all(&logit.to_le_bytes()));
        }
        written.is_ok()
    }));
    // A failed write cancels the computation, so the write's error comes first.
    written.map_err(failed)?;
    computed?;
    out.flush().map_err(failed)
}
