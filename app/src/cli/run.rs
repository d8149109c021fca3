//! `lapidary run`: one prompt, one reply.

use std::io::{self, IsTerminal, Write};

use lapidary_engine::template::{Role, Turn, render};
use lapidary_engine::tokenizer::Tokenizer;
use lapidary_engine::{Error, Finish};
use serde_json::json;

use super::args;
use super::failure::{Failure, print_error, sanitized};
use super::interrupt::Busy;
use super::load::{engine, open, require_tokenizer, text_or_stdin};
use lapidary_app::chat_ability::{COMPLETION_TOKENS, chat_problem, completion_ids};

pub(crate) fn run(arguments: &args::Run) -> Result<(), Failure> {
    let files = open(arguments.model.model.as_deref())?;
    let mut sampling = arguments.sampling.to_engine(&files);
    sampling.stop_at_end = !arguments.ignore_eos;
    if arguments.raw {
        sampling.max_tokens.get_or_insert(COMPLETION_TOKENS);
    }
    sampling.check()?;
    let text = arguments.prompt.as_deref().map(text_or_stdin).transpose()?;
    if let Some(text) = &text {
        if text.trim().is_empty() {
            return Err(Error::EmptyPrompt.into());
        }
        require_tokenizer(&files)?;
    }

    let busy = Busy::new();
    let engine = engine(files, &arguments.model, None, &busy)?;
    if let Some(problem) = chat_problem(&engine).filter(|_| text.is_some() && !arguments.raw) {
        print_error(&format!("{problem} --raw lets it continue the prompt"));
    }
    let prompt = match (&arguments.tokens, &text) {
        (Some(tokens), _) => tokens.0.clone(),
        (None, text) => prompt_ids(engine.tokenizer()?, text.as_deref().unwrap_or_default(), arguments.raw)?,
    };
    let mut session = arguments.speculate.session(&engine, &arguments.model, &busy)?;
    let mut generation = session.generate_text(&prompt, &sampling)?;
    let mut text = String::new();
    let mut out = io::stdout().lock();
    let terminal = out.is_terminal();
    let end = loop {
        let piece = match busy.wait(generation.next()) {
            Ok(Some(piece)) => piece,
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        };
        if !arguments.json {
            let shown = if terminal { sanitized(&piece) } else { piece.as_str().into() };
            out.write_all(shown.as_bytes())?;
            out.flush()?;
        }
        text.push_str(&piece);
    };
    let rest = generation.rest().unwrap_or_default();
    text.push_str(&rest);
    if !arguments.json {
        writeln!(out, "{rest}")?;
    } else if matches!(end, Ok(()) | Err(Failure::Interrupted)) {
        let timings = generation.timings();
        let object = json!({
            "prompt_ids": prompt,
            "output_ids": generation.ids(),
            "text": engine.tokenizer().is_ok().then_some(text),
            "finish_reason": generation.finish().map_or("cancelled", Finish::name),
            "prefill_ms": timings.prefill_ms,
            "decode_ms": timings.decode_ms,
            "guessed_tokens": timings.guessed_tokens,
            "right_guesses": timings.right_guesses,
        });
        writeln!(out, "{object}")?;
    }
    if !arguments.json && generation.finish() == Some(Finish::ContextFull) {
        print_error("the context is full, so the reply ends here; --context makes it longer");
    }
    end
}

fn prompt_ids(tokenizer: &Tokenizer, text: &str, raw: bool) -> Result<Vec<u32>, Failure> {
    if !raw {
        return Ok(render(tokenizer, None, &[Turn { role: Role::User, text: text.to_owned() }])?);
    }
    Ok(completion_ids(tokenizer, text)?)
}
