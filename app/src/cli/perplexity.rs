//! `lapidary perplexity`: how well a model predicts a text, as llama.cpp's tool defines it.
//!
//! The text's tokens are cut into windows. Each window's first token becomes `<bos>`, and the tokens of its second half
//! except the first are scored. A remainder shorter than a window is left out.
//!
//! With `--kl-against`, every scored position's probabilities are also compared with those of the same model in another
//! weight format.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use lapidary_engine::{Error, Session};
use serde_json::json;

use super::args;
use super::failure::Failure;
use super::interrupt::Busy;
use super::load::{engine as load, open, require_tokenizer};
use super::terminal::ProgressBar;

/// The most rows of logits by which the reference model may be ahead.
const ROWS_AHEAD: usize = 32;

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
            require_tokenizer(&files)?;
            Some(text)
        }
        None => None,
    };
    let tokens = match &arguments.tokens_file {
        Some(path) => serde_json::from_str(&read(path)?).map_err(|error| {
            Failure::Failed(format!("{}: it is not a JSON array of token ids: {error}", path.display()))
        })?,
        None => Vec::new(),
    };

    let busy = Busy::new();
    let engine = load(files, &arguments.model, Some(ctx), &busy)?;
    if ctx > engine.context() {
        return Err(Failure::Usage(format!("--ctx is {ctx}, but --context is {}", engine.context())));
    }
    let ids = match text {
        // Control tokens in the text are not recognized: the text is measured as plain text.
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

    let mut reference = match arguments.kl_against {
        Some(weights) => {
            let model = args::Model { weights, ..arguments.model.clone() };
            let engine = load(open(model.model.as_deref())?, &model, Some(ctx), &busy)?;
            Some(busy.wait(engine.session())?)
        }
        None => None,
    };
    let mut session = busy.wait(engine.session())?;
    let mut scores = Scores::default();
    let mut divergences = Divergences::default();
    let mut running = Vec::new();
    let mut out = io::stdout().lock();
    let count = (ids.len() / ctx).min(arguments.windows.unwrap_or(usize::MAX));
    // On a terminal the results themselves show the progress.
    let mut bar = ProgressBar::shown_if("Measuring", arguments.json || !out.is_terminal());
    for window in ids.chunks_exact(ctx).take(count) {
        bar.set(running.len() as u64, count as u64);
        let mut window = window.to_vec();
        window[0] = bos;
        let score = |position: usize, logits: &[f32]| {
            if let Some(next) = window.get(position + 1) {
                scores.add(negative_log_likelihood(logits, *next as usize));
            }
        };
        match &mut reference {
            Some(reference) => {
                busy.wait(compare_window(&mut session, reference, &window, ctx / 2, score, &mut divergences))?;
            }
            None => {
                let mut score = score;
                busy.wait(session.logits(&window, ctx / 2, |position, logits| {
                    score(position, logits);
                    true
                }))?;
            }
        }
        running.push(scores.perplexity());
        if !arguments.json {
            write!(out, "[{}]{:.4} ", running.len(), scores.perplexity())?;
            out.flush()?;
        }
    }
    drop(bar);
    let (perplexity, stderr, windows) = (scores.perplexity(), scores.standard_error(), running.len());
    let divergence = reference.is_some().then(|| divergences.summary());
    if arguments.json {
        let kl = divergence.map(|Summary { mean, median, p99, max, top1 }| {
            json!({"mean": mean, "median": median, "p99": p99, "max": max, "top1_agreement": top1})
        });
        let object = json!({
            "perplexity": perplexity, "stderr": stderr, "running": running, "windows": windows, "ctx": ctx, "kl": kl,
        });
        writeln!(out, "{object}")?;
    } else {
        writeln!(out, "\nperplexity {perplexity:.4} ± {stderr:.4} ({windows} windows of {ctx})")?;
        if let Some(Summary { mean, median, p99, max, top1 }) = divergence {
            writeln!(
                out,
                "KL divergence, nats per token: mean {mean:.6}, median {median:.6}, 99 % {p99:.6}, max {max:.6}"
            )?;
            writeln!(out, "same most probable token: {:.2} %", 100.0 * top1)?;
        }
    }
    Ok(())
}

/// Runs a window through both models in step, so that at most [`ROWS_AHEAD`] rows are held.
async fn compare_window(
    session: &mut Session,
    reference: &mut Session,
    window: &[u32],
    first: usize,
    mut score: impl FnMut(usize, &[f32]),
    divergences: &mut Divergences,
) -> lapidary_engine::Result<()> {
    thread::scope(|scope| {
        let (sender, rows) = mpsc::sync_channel::<Vec<f32>>(ROWS_AHEAD);
        let reference_thread = scope
            .spawn(move || reference.logits_blocking(window, first, |_, logits| sender.send(logits.to_vec()).is_ok()));
        let ours = session.logits_blocking(window, first, |position, logits| {
            score(position, logits);
            // The last position predicts a token that the window does not have.
            let Ok(expected) = rows.recv() else { return false };
            if position + 1 < window.len() {
                divergences.add(&expected, logits);
            }
            true
        });
        // An error of the reference cancels the other model, so it is the one to report.
        drop(rows);
        match (reference_thread.join(), ours) {
            (Ok(Err(error)), Err(Error::Cancelled)) => Err(error),
            (Err(panic), _) => std::panic::resume_unwind(panic),
            (_, ours) => ours,
        }
    })
}

/// Kullback-Leibler divergences of a model's next-token probabilities from a reference's, in nats.
#[derive(Default)]
struct Divergences {
    values: Vec<f64>,
    agreed: usize,
}

struct Summary {
    mean: f64,
    median: f64,
    p99: f64,
    max: f64,
    /// The fraction of positions at which both models agree on the most probable token.
    top1: f64,
}

impl Divergences {
    /// Adds `sum(p ln(p / q))`, where `p` is the reference.
    fn add(&mut self, reference: &[f32], logits: &[f32]) {
        let (p, q) = (LogSoftmax::of(reference), LogSoftmax::of(logits));
        let terms = reference.iter().zip(logits).map(|(a, b)| {
            let log_p = p.at(*a);
            log_p.exp() * (log_p - q.at(*b))
        });
        self.values.push(terms.sum());
        let likeliest = |values: &[f32], highest: f32| values.iter().position(|value| *value == highest);
        self.agreed += usize::from(likeliest(reference, p.highest) == likeliest(logits, q.highest));
    }

    fn summary(mut self) -> Summary {
        self.values.sort_by(f64::total_cmp);
        let count = self.values.len();
        let at = |quantile: f64| self.values[((count - 1) as f64 * quantile).round() as usize];
        Summary {
            mean: self.values.iter().sum::<f64>() / count as f64,
            median: at(0.5),
            p99: at(0.99),
            max: at(1.0),
            top1: self.agreed as f64 / count as f64,
        }
    }
}

/// The log-softmax of a row of logits.
struct LogSoftmax {
    highest: f32,
    log_total: f64,
}

impl LogSoftmax {
    fn of(logits: &[f32]) -> Self {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
        Self { highest, log_total: total.ln() }
    }

    fn at(&self, logit: f32) -> f64 {
        f64::from(logit - self.highest) - self.log_total
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::Failed(format!("cannot read {}: {error}", path.display())))
}

/// `-ln softmax(logits)[token]`.
fn negative_log_likelihood(logits: &[f32], token: usize) -> f64 {
    -LogSoftmax::of(logits).at(logits[token])
}

/// The sums of negative log-likelihoods.
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

    /// The standard error of the perplexity, from the variance of the scores.
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
    fn uniform_odds_have_the_vocabulary_size_as_perplexity() {
        let mut scores = Scores::default();
        for token in 0..5 {
            scores.add(negative_log_likelihood(&[1.5; 5], token));
        }
        assert!((scores.perplexity() - 5.0).abs() < 1e-12);
        assert!(scores.standard_error().abs() < 1e-6);
    }

    #[test]
    fn divergences_of_known_distributions() {
        let mut divergences = Divergences::default();
        let logits = |p: f64| [p.ln() as f32, (1.0 - p).ln() as f32];
        divergences.add(&logits(0.25), &logits(0.25));
        divergences.add(&logits(0.75), &logits(0.75));
        divergences.add(&logits(0.5), &logits(0.25));
        let summary = divergences.summary();
        assert!(summary.median.abs() < 1e-6, "{}", summary.median);
        let expected = 0.5 * (0.5f64 / 0.25).ln() + 0.5 * (0.5f64 / 0.75).ln();
        assert!((summary.max - expected).abs() < 1e-6, "{}", summary.max);
        assert!((summary.mean - expected / 3.0).abs() < 1e-6);
        // At 0.5 the first token counts as the most probable, at 0.25 the second.
        assert_eq!(summary.top1, 2.0 / 3.0);
    }

    #[test]
    fn the_standard_error_grows_with_the_spread() {
        let mut scores = Scores::default();
        [1.0, 3.0].into_iter().for_each(|score| scores.add(score));
        // Variance 1, over one degree of freedom, times exp(2).
        assert!((scores.standard_error() - 2f64.exp()).abs() < 1e-12);
    }
}
