//! The arguments of `lapidary batch`.

use std::path::PathBuf;

use clap::Args;
use lapidary_app::server::MAX_LOGPROBS;

use super::{Concurrency, Model, SamplingFlags};

/// Answer all requests in a file, many at once
///
/// The output gets a line per request, in the order in which they finish, in the form of OpenAI's batch results, with the number
/// of the input's line. If the batch is stopped, even by a crash, the same command goes on with the requests that have no result.
/// To begin anew, delete the output. The exit code is 0 if every request succeeded.
#[derive(Args)]
pub(crate) struct Batch {
    /// The requests: lines of OpenAI's batch files, or bodies of requests, each a JSON object; in a file that does not begin with
    /// {, each line is a question; - for standard input
    #[arg(value_name = "INPUT")]
    pub(crate) input: PathBuf,
    /// The file for the results
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) model: Model,
    #[command(flatten)]
    pub(crate) sampling: SamplingFlags,
    #[command(flatten)]
    pub(crate) concurrency: Concurrency,
    /// Also write the log-probability of each token and of the K most probable ones, up to 20, where a request does not say
    /// whether it wants them
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(..=MAX_LOGPROBS))]
    pub(crate) top_logprobs: Option<u64>,
    /// When all requests have a result, also write the log-probabilities of chats to this file, which takes --top-logprobs unless
    /// the requests themselves ask for them; as tensors: lines, offsets (reply r has the positions offsets[r] to offsets[r+1]),
    /// tokens, logprobs, top_tokens and top_logprobs ([positions, K]), ended (whether the last position is the token that ends the
    /// reply), choices, prompt_tokens
    #[arg(long, value_name = "FILE")]
    pub(crate) safetensors: Option<PathBuf>,
}
