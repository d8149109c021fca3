//! `lapidary run`: one prompt, one reply.

use std::io::{self, Write};

use lapidary_engine::Engine;
use lapidary_engine::template::{Role, Turn, render};
use lapidary_engine::tokenizer::TextStream;
use serde_json::json;

use super::args;
use super::failure::Failure;
use super::interrupt::Busy;
use super::load::{engine, text_or_stdin};

/// A completion has no turn to end, so it needs some other end.
const RAW_MAX_TOKENS: usize = 512;

pub(crate) fn run(arguments: &args::Run) -> Result<(), Failure> {
    let mut sampling = arguments.drawing.sampling();
    sampling.stop_at_end = !arguments.ignore_eos;
    if arguments.raw {
        sampling.max_tokens.get_or_insert(RAW_MAX_TOKENS);
    }
    sampling.check()?;
    let text = arguments.prompt.as_deref().map(text_or_stdin).transpose()?;
    let engine = engine(&arguments.model)?;
    let prompt = match (&arguments.tokens, &text) {
        (Some(tokens), _) => tokens.0.clone(),
        (None, text) => prompt_ids(&engine, text.as_deref().unwrap_or_default(), arguments.raw)?,
    };

    let busy = Busy::new();
    let mut session = engine.session_blocking()?;
    let mut generation = session.generate(&prompt, &sampling)?;
    // Without a tokenizer, ids stand for themselves.
    let mut stream = engine.tokenizer().ok().cloned().map(TextStream::new);
    let (mut ids, mut text) = (Vec::new(), String::new());
    let mut out = io::stdout().lock();
    while !busy.interrupted()
        && let Some(id) = generation.next_blocking()?
    {
        ids.push(id);
        let piece = match &mut stream {
            Some(stream) => stream.push(id)?.unwrap_or_default(),
            None if ids.len() == 1 => id.to_string(),
            None => format!(" {id}"),
        };
        text.push_str(&piece);
        if !arguments.json {
            out.write_all(piece.as_bytes())?;
            out.flush()?;
        }
    }
    let rest = stream.as_mut().map(TextStream::finish).unwrap_or_default();
    text.push_str(&rest);
    if arguments.json {
        let timings = generation.timings();
        let object = json!({
            "prompt_ids": prompt,
            "output_ids": ids,
            "text": stream.is_some().then_some(text),
            "finish_reason": generation.finish().map_or("cancelled", |finish| finish.name()),
            "prefill_ms": timings.prefill_ms,
            "decode_ms": timings.decode_ms,
        });
        writeln!(out, "{object}")?;
    } else {
        writeln!(out, "{rest}")?;
    }
    if busy.interrupted() { Err(Failure::Interrupted) } else { Ok(()) }
}

fn prompt_ids(engine: &Engine, text: &str, raw: bool) -> Result<Vec<u32>, Failure> {
    if text.trim().is_empty() {
        return Err(lapidary_engine::Error::EmptyPrompt.into());
    }
    let tokenizer = engine.tokenizer()?;
    if raw {
        let mut ids = vec![tokenizer.bos_id()];
        ids.extend(tokenizer.encode(text)?);
        Ok(ids)
    } else {
        Ok(render(tokenizer, None, &[Turn { role: Role::User, text: text.to_owned() }])?)
    }
}
