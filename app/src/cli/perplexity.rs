//! `lapidary perplexity`: how well a model predicts a text, as llama.cpp's tool defines it.
//!
//! The text's tokens are cut into windows; each window's first token becomes `<bos>`, and the tokens of its second half,
//! but for the first of them, are scored. A rest shorter than a window is left out.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::args;
use super::failure::Failure;
use super::interrupt::Busy;
use super::load::{engine, need_tokenizer, open};

pub(crate) fn perplexity(arguments: &args::Perplexity) -> Result<(), Failure> {
    let ctx = arguments.ctx;
    if ctx < 8 || ctx % 2 == 1 {
        return Err(Failure::Usage(format!("--ctx is {ctx}, but must be even and at least 8")));
    }
    if arguments.windows == Some(0) {
        return Err(Failure::Usage("--windows is 0, but must be at least 1".into()));
    }
    let files = open(arguments.model.model.as_deref())?;
    let trained = files.config().context_length;
    if ctx > trained {
        return Err(Failure::Usage(format!("--ctx is {ctx}, but the model was trained for {trained}")));
    }
    let bos = files.config().bos_id;
    let text = match &arguments.file {
        Some(path) => {
            let text = read(path)?;
            need_tokenizer(&files)?;
            Some(text)
        }
        None => None,
    };
    let tokens = match &arguments.tokens_file {
        Some(path) => serde_json::from_str(&read(path)?)
            .map_err(|error| Failure::Failed(format!("{}: it is no JSON array of ids: {error}", path.display())))?,
        None => Vec::new(),
    };

    let busy = Busy::new();
    let engine = engine(files, &arguments.model, Some(ctx), &busy)?;
    if ctx > engine.context() {
        return Err(Failure::Usage(format!("--ctx is {ctx}, but --context is {}", engine.context())));
    }
    let ids = match text {
        // A text is measured as it stands: what looks like a control piece in it is text.
        Some(text) => std::iter::once(bos).chain(engine.tokenizer()?.encode_plain(&text)?).collect(),
        None => tokens,
    };
    if ids.len() < 2 * ctx {
        return Err(Failure::Failed(format!(
            "the text has {} tokens, but two windows of {ctx} need {}; take a longer text or a smaller --ctx",
            ids.len(),
            2 * ctx
        )));
    }

    let mut session = busy.wait(engine.session())?;
    let mut scores = Scores::default();
    let mut running = Vec::new();
    let mut out = io::stdout().lock();
    for window in ids.chunks_exact(ctx).take(arguments.windows.unwrap_or(usize::MAX)) {
        let mut window = window.to_vec();
        window[0] = bos;
        busy.wait(session.logits(&window, ctx / 2, |position, logits| {
            if let Some(next) = window.get(position + 1) {
                scores.add(negative_log_likelihood(logits, *next as usize));
            }
            true
        }))?;
        running.push(scores.perplexity());
        if !arguments.json {
            write!(out, "[{}]{:.4} ", running.len(), scores.perplexity())?;
            out.flush()?;
        }
    }
    let (perplexity, stderr, windows) = (scores.perplexity(), scores.standard_error(), running.len());
    if arguments.json {
        let object = json!({
            "perplexity": perplexity, "stderr": stderr, "running": running, "windows": windows, "ctx": ctx,
        });
        writeln!(out, "{object}")?;
    } else {
        writeln!(out, "\nperplexity {perplexity:.4} ± {stderr:.4} ({windows} windows of {ctx})")?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::Failed(format!("cannot read {}: {error}", path.display())))
}

/// `-ln softmax(logits)[token]`.
fn negative_log_likelihood(logits: &[f32], token: usize) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    total.ln() - f64::from(logits[token] - highest)
}

/// Negative log-likelihoods, summed up.
#[derive(Default)]
struct Scores {
    count: f64,
    sum: f64,
    sum_of_squares: f64,
}

impl Scores {
    fn add(&mut self, score: f64) {
        self.count += 1.0;
        self.sum += score;
        self.sum_of_squares += score * score;
    }

    fn perplexity(&self) -> f64 {
        (self.sum / self.count).exp()
    }

    /// Of the perplexity, from the variance of the scores.
    fn standard_error(&self) -> f64 {
        let mean = self.sum / self.count;
        let variance = (self.sum_of_squares / self.count - mean * mean).max(0.0);
        (variance / (self.count - 1.0).max(1.0)).sqrt() * self.perplexity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_odds_have_the_perplexity_of_their_number() {
        let mut scores = Scores::default();
        for token in 0..5 {
            scores.add(negative_log_likelihood(&[1.5; 5], token));
        }
        assert!((scores.perplexity() - 5.0).abs() < 1e-12);
        assert!(scores.standard_error().abs() < 1e-6);
    }

    #[test]
    fn the_standard_error_grows_with_the_spread() {
        let mut scores = Scores::default();
        [1.0, 3.0].into_iter().for_each(|score| scores.add(score));
        // Variance 1, over one degree of freedom, times exp(2).
        assert!((scores.standard_error() - 2f64.exp()).abs() < 1e-12);
    }
}
