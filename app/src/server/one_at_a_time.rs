//! Generates replies one after another, with the interface of a scheduler of many.

use std::collections::VecDeque;

use lapidary_engine::{Decoding, Engine, Error, Finish, Result, Runner, Sampling, Sequence, Session};

/// How much a scheduler does at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct SchedulerOptions {
    /// Sequences at once.
    pub(super) sequences: usize,
    /// Tokens of all sequences together.
    pub(super) cache_tokens: usize,
}

/// Which request an event is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestId(u64);

/// Changes the logits before a token is chosen; the first argument is the reply so far.
pub(super) type Bias = Box<dyn FnMut(&[u32], &mut [f32]) + Send>;

/// A reply to generate.
pub(super) struct Request {
    pub(super) prompt: Vec<u32>,
    pub(super) sampling: Sampling,
    /// Alternatives per token; `Some(0)` for only the token's own log-probability.
    pub(super) logprobs: Option<usize>,
    /// The same for the prompt.
    pub(super) prompt_logprobs: Option<usize>,
    pub(super) bias: Option<Bias>,
}

/// What a step brought.
pub(super) enum Event {
    /// Of each token of the prompt but the first.
    Prompt {
        id: RequestId,
        logprobs: Vec<TokenLogprobs>,
    },
    Token {
        id: RequestId,
        token: u32,
        logprobs: Option<TokenLogprobs>,
    },
    Finished {
        id: RequestId,
        finish: Finish,
    },
    Failed {
        id: RequestId,
        error: Error,
    },
}

/// A token's log-probability and those of the most probable tokens in its place.
pub(super) struct TokenLogprobs {
    pub(super) logprob: f32,
    pub(super) top: Vec<(u32, f32)>,
}

pub(super) struct Scheduler {
    runner: Runner,
    sequence: Sequence,
    /// For requests that need the logits here. Made when the first comes.
    exact: Option<Session>,
    requests: VecDeque<(RequestId, Request)>,
    running: Option<Running>,
    next_id: u64,
}

enum Running {
    OnDevice(Box<Decoding>),
    /// The reply so far and the state of the random numbers.
    WithLogits {
        reply: Vec<u32>,
        random: u64,
    },
}

impl Scheduler {
    pub(super) async fn new(engine: &Engine, options: &SchedulerOptions) -> Result<Self> {
        log::debug!("one reply at a time, not {} with {} tokens", options.sequences, options.cache_tokens);
        let runner = Runner::new(engine).await?;
        let sequence = runner.sequence().await?;
        Ok(Self { runner, sequence, exact: None, requests: VecDeque::new(), running: None, next_id: 0 })
    }

    pub(super) fn submit(&mut self, request: Request) -> Result<RequestId> {
        Decoding::new(self.runner.engine(), &request.prompt, &request.sampling)?;
        self.next_id += 1;
        let id = RequestId(self.next_id);
        self.requests.push_back((id, request));
        Ok(id)
    }

    pub(super) fn cancel(&mut self, id: RequestId) {
        if self.requests.front().is_some_and(|(first, _)| *first == id) {
            self.running = None;
        }
        self.requests.retain(|(other, _)| *other != id);
    }

    pub(super) async fn step(&mut self) -> Result<Vec<Event>> {
        let Some((id, request)) = self.requests.front_mut() else { return Ok(Vec::new()) };
        let id = *id;
        let engine = self.runner.engine().clone();
        if let Some(count) = request.prompt_logprobs.take() {
            let mut logprobs = Vec::new();
            let mut session = engine.session().await?;
            let inputs = &request.prompt[..request.prompt.len() - 1];
            if !inputs.is_empty() {
                let next = |position: usize| request.prompt[position + 1];
                let sink = |position: usize, logits: &[f32]| {
                    logprobs.push(score(next(position), logits, count));
                    true
                };
                session.logits(inputs, 0, sink).await?;
            }
            return Ok(vec![Event::Prompt { id, logprobs }]);
        }
        let running = match &mut self.running {
            Some(running) => running,
            empty if request.logprobs.is_none() && request.bias.is_none() => {
                empty.insert(Running::OnDevice(Box::new(Decoding::new(&engine, &request.prompt, &request.sampling)?)))
            }
            empty => empty.insert(Running::WithLogits {
                reply: Vec::new(),
                random: request.sampling.seed.unwrap_or(self.next_id),
            }),
        };
        let result = match running {
            Running::OnDevice(decoding) => match decoding.next(&mut self.runner, &mut self.sequence).await {
                Ok(Some(token)) => Ok((Some((token, None)), Finish::Stop)),
                Ok(None) => Ok((None, decoding.finish().unwrap_or(Finish::Stop))),
                Err(error) => Err(error),
            },
            Running::WithLogits { reply, random } => {
                if self.exact.is_none() {
                    self.exact = Some(engine.session().await?);
                }
                match &mut self.exact {
                    Some(session) => next_with_logits(session, request, reply, random).await,
                    None => Ok((None, Finish::Stop)),
                }
            }
        };
        let event = match result {
            Ok((Some((token, logprobs)), _)) => return Ok(vec![Event::Token { id, token, logprobs }]),
            Ok((None, finish)) => Event::Finished { id, finish },
            Err(error) => Event::Failed { id, error },
        };
        self.running = None;
        self.requests.pop_front();
        Ok(vec![event])
    }
}

type Next = (Option<(u32, Option<TokenLogprobs>)>, Finish);

async fn next_with_logits(
    session: &mut Session,
    request: &mut Request,
    reply: &mut Vec<u32>,
    random: &mut u64,
) -> Result<Next> {
    if request.sampling.max_tokens == Some(reply.len()) {
        return Ok((None, Finish::MaxTokens));
    }
    let sequence = [&request.prompt[..], reply].concat();
    if sequence.len() > session.engine().context() {
        return Ok((None, Finish::ContextFull));
    }
    let logits = session.next_logits(&sequence).await?;
    let vocabulary = session.engine().tokenizer()?.len().min(logits.len());
    let mut changed = logits[..vocabulary].to_vec();
    let penalty = request.sampling.repetition_penalty;
    let mut seen = sequence;
    seen.sort_unstable();
    seen.dedup();
    for id in seen {
        if let Some(logit) = changed.get_mut(id as usize) {
            *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
        }
    }
    if let Some(bias) = &mut request.bias {
        bias(reply, &mut changed);
    }
    let token = choose(&changed, &request.sampling, random);
    reply.push(token);
    Ok((Some((token, request.logprobs.map(|count| score(token, &changed, count)))), Finish::Stop))
}

fn score(id: u32, logits: &[f32], count: usize) -> TokenLogprobs {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    let logprob = |id: u32| (f64::from(logits[id as usize] - highest) - sum.ln()) as f32;
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    TokenLogprobs { logprob: logprob(id), top: order.into_iter().take(count).map(|id| (id, logprob(id))).collect() }
}

/// Samples a token: temperature, top-k, top-p, min-p.
fn choose(logits: &[f32], sampling: &Sampling, random: &mut u64) -> u32 {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    if sampling.is_greedy() {
        return order[0];
    }
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k as usize);
    }
    let weight = |id: u32| f64::from((logits[id as usize] - logits[order[0] as usize]) / sampling.temperature).exp();
    let weights: Vec<f64> = order.iter().map(|id| weight(*id)).collect();
    let goal = f64::from(sampling.top_p) * weights.iter().sum::<f64>();
    let mut sum = 0.0;
    let kept = weights.iter().take_while(|weight| {
        let keep = sum < goal && **weight >= f64::from(sampling.min_p);
        sum += **weight;
        keep
    });
    let kept = kept.count().max(1);
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let uniform = (*random >> 11) as f64 / (1u64 << 53) as f64;
    let mut left = uniform * weights[..kept].iter().sum::<f64>();
    for (id, weight) in order.iter().zip(&weights[..kept]) {
        left -= weight;
        if left < 0.0 {
            return *id;
        }
    }
    order[kept - 1]
}
