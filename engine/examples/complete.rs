//! Completes a text and says how fast:
//! `cargo run --release -p lapidary-engine --example complete -- MODEL "Once upon a time"`

use std::io::Write;

use lapidary_engine::tokenizer::TextStream;
use lapidary_engine::{Engine, Sampling};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("usage: complete MODEL TEXT".into());
    };
    let engine = Engine::builder(model).build_blocking()?;
    let tokenizer = engine.tokenizer()?.clone();
    let mut prompt = vec![tokenizer.bos_id()];
    prompt.extend(tokenizer.encode(&text)?);

    let mut session = engine.session_blocking()?;
    let sampling = Sampling { max_tokens: Some(64), ..Sampling::default() };
    let mut generation = session.generate(&prompt, &sampling)?;
    let mut stream = TextStream::new(tokenizer);
    while let Some(id) = generation.next_blocking()? {
        if let Some(piece) = stream.push(id)? {
            print!("{piece}");
            std::io::stdout().flush()?;
        }
    }
    println!("{}", stream.finish());
    let t = generation.timings();
    eprintln!(
        "{} tokens of prompt in {:.0} ms, then {:.1} tokens/s",
        t.prefill_tokens,
        t.prefill_ms,
        t.decode_tokens as f64 / t.decode_ms * 1e3
    );
    Ok(())
}
