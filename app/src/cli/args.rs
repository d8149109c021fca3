//! The command-line arguments and their help texts.

mod batch;
mod chats;
mod concurrency;
mod models;
mod serve;
mod setup;
mod token_list;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use lapidary_engine::{ActivationFormat, CacheFormat, MAX_SEQUENCES, ModelFiles, Sampling, WeightFormat};

use super::speculate::Speculate;
use lapidary_app::guide;

pub(crate) use batch::Batch;
pub(crate) use chats::{Chats, ChatsCommand, ChatsExport, ChatsList, ChatsShow};
use concurrency::{Concurrency, up_to};
pub(crate) use models::Models;
pub(crate) use serve::Serve;
pub(crate) use setup::{Completions, Desktop, DesktopCommand, Man};
pub(crate) use token_list::TokenList;

/// Chat with Gemma-2 and Gemma-3 on your own GPU
///
/// Without a command, lapidary opens its window, or without a display a chat in the terminal, with the last model used (at
/// the first start the built-in guide). If a window is open already, that one opens the model.
#[derive(Parser)]
#[command(name = "lapidary", bin_name = "lapidary", version, max_term_width = 100)]
#[command(override_usage = "lapidary [MODEL]\n       lapidary COMMAND [OPTIONS]")]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "lapidary alone opens the window. lapidary COMMAND --help lists the options of a command.")]
pub(crate) struct Arguments {
    /// The model to open in the window: a .gguf file, a Hugging Face folder, a name that lapidary pull downloaded, or guide for
    /// the built-in model
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    pub(crate) file: Option<PathBuf>,
    /// The same, as for the commands
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Chat in the terminal
    Chat(Chat),
    /// Answer one prompt
    Run(Run),
    /// Serve the model to other programs, with OpenAI's HTTP API
    Serve(Serve),
    /// Answer all requests in a file, many at once
    Batch(Batch),
    /// Show the tokens of a text
    Tokenize(Tokenize),
    /// Write the logits of every position to a file
    Logits(Logits),
    /// Measure how well a model predicts a text
    Perplexity(Perplexity),
    /// Measure speed
    Bench(Bench),
    /// Compare every kernel on the device with a reference implementation, and name the first that is wrong
    Check(Check),
    /// List graphics adapters
    Devices(Devices),
    /// List the models that are on this machine
    Models(Models),
    /// List, show and export the chats of the window and the terminal
    Chats(Chats),
    /// Add Lapidary to the menu of the desktop, or remove it
    Desktop(Desktop),
    /// Print a script that completes lapidary's arguments in a shell
    Completions(Completions),
    /// Print the manual page
    Man(Man),
    /// Download a model from the Hugging Face hub
    Pull(super::pull::Pull),
    /// Save a token for the Hugging Face hub, for models that are only for some accounts
    Login(super::login::Login),
    /// Forget the token that login saved
    Logout(super::login::Logout),
    /// Say whether a model fits this device, and how fast it would be
    Fit(super::fit::FitArguments),
    /// Write a model to a GGUF file in another weight format
    Quantize(super::quantize::Quantize),
}

#[derive(Args, Clone, Default)]
pub(crate) struct Model {
    /// A .gguf file, a Hugging Face folder, a name that lapidary pull downloaded, or guide for the built-in model
    /// [default: the last model used, at first the guide]
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Weight format: auto (as in the file), f32 (which also computes everything in f32), f16, bf16, q8_0, q4_0, …
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = weights)]
    pub(crate) weights: Auto<WeightFormat>,
    /// Format of the KV cache: auto (f32 with f32 weights, else f16), f32, f16
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = cache)]
    pub(crate) kv: Auto<CacheFormat>,
    /// Format of activations in products with weights: auto (the fastest on this device), float (exact), int8
    #[arg(long, value_name = "KIND", default_value = "auto", value_parser = activations)]
    pub(crate) activations: Auto<ActivationFormat>,
    /// Context length in tokens, for prompt and replies together [default: the model's own, up to 8192]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) context: Option<usize>,
    /// The graphics adapter: a name, a number from `lapidary devices`, fastest, frugal or software
    #[arg(long, value_name = "ADAPTER")]
    pub(crate) device: Option<String>,
}

/// An option whose default the engine chooses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Auto<T> {
    #[default]
    Auto,
    Chosen(T),
}

impl<T: Copy> Auto<T> {
    /// The chosen value; `None` for the engine's default.
    pub(crate) fn chosen(self) -> Option<T> {
        match self {
            Self::Auto => None,
            Self::Chosen(value) => Some(value),
        }
    }
}

fn weights(text: &str) -> Result<Auto<WeightFormat>, String> {
    let text = text.to_lowercase();
    match text.parse() {
        _ if text == "auto" => Ok(Auto::Auto),
        Ok(format) => Ok(Auto::Chosen(format)),
        Err(_) => Err(format!("must be auto, {}", WeightFormat::ALL.map(WeightFormat::name).join(", "))),
    }
}

fn activations(text: &str) -> Result<Auto<ActivationFormat>, String> {
    match text {
        "auto" => Ok(Auto::Auto),
        "float" => Ok(Auto::Chosen(ActivationFormat::Float)),
        "int8" => Ok(Auto::Chosen(ActivationFormat::Int8)),
        _ => Err("must be auto, float or int8".into()),
    }
}

fn cache(text: &str) -> Result<Auto<CacheFormat>, String> {
    match text {
        "auto" => Ok(Auto::Auto),
        "f32" => Ok(Auto::Chosen(CacheFormat::F32)),
        "f16" => Ok(Auto::Chosen(CacheFormat::F16)),
        _ => Err("must be auto, f32 or f16".into()),
    }
}

// Options stay `None` unless given, because their defaults depend on the model. The window's `SamplingParams` hold values.
#[derive(Args, Default)]
pub(crate) struct SamplingFlags {
    /// Stop after this many tokens
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) max_tokens: Option<usize>,
    /// 0 always chooses the most probable token; higher values vary more [default: 1; for the guide 0]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Choose among this number of most probable tokens; 0 for all [default: 64]
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    top_k: Option<u32>,
    /// Choose among the most probable tokens up to this total probability [default: 0.95]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f32>,
    /// Leave out tokens less probable than this fraction of the most probable one [default: 0]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f32>,
    /// Above 1, tokens that occurred already become less probable; 1 for no change [default: 1]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,
    /// Equal seeds give equal replies [default: a new seed per reply]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    seed: Option<u64>,
}

impl SamplingFlags {
    /// The engine's parameters: the given options over the defaults of the model.
    pub(crate) fn to_engine(&self, files: &ModelFiles) -> Sampling {
        self.or_default(guide::default_sampling(guide::is_guide(files.path())))
    }

    /// The parameters for a model of a server: the given options over Lapidary's defaults.
    pub(crate) fn for_server(&self) -> Sampling {
        self.or_default(Sampling::default())
    }

    fn or_default(&self, default: Sampling) -> Sampling {
        Sampling {
            temperature: self.temperature.unwrap_or(default.temperature),
            top_k: self.top_k.unwrap_or(default.top_k),
            top_p: self.top_p.unwrap_or(default.top_p),
            min_p: self.min_p.unwrap_or(default.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(default.repetition_penalty),
            seed: self.seed,
            max_tokens: self.max_tokens,
            stop_at_end: default.stop_at_end,
        }
    }
}

#[derive(Args, Default)]
pub(crate) struct Chat {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Chat with a model of an OpenAI-compatible server, such as http://localhost:8080/v1, which gets all that you write; -m names
    /// one of its models, and LAPIDARY_ENDPOINT_KEY holds its key
    #[arg(long, value_name = "URL", conflicts_with_all = ["weights", "kv", "activations", "context", "device", "raw", "speculate"])]
    pub(crate) endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) sampling: SamplingFlags,
    #[command(flatten)]
    pub(crate) speculate: Speculate,
    /// The system prompt; with --raw the beginning of the text
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// Let the model continue what you write, without the chat template, as base models do; each time by 512 tokens unless
    /// --max-tokens is given
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) model: Model,
    #[command(flatten)]
    pub(crate) sampling: SamplingFlags,
    #[command(flatten)]
    pub(crate) speculate: Speculate,
    /// Complete the prompt without the chat template, for 512 tokens unless --max-tokens is given; control tokens such as
    /// <start_of_turn> are recognized, and <bos> is added
    #[arg(long)]
    pub(crate) raw: bool,
    /// Go on after the model's end token
    #[arg(long)]
    pub(crate) ignore_eos: bool,
    /// Print one JSON object at the end instead of streaming text
    #[arg(long)]
    pub(crate) json: bool,
    /// Token ids in place of a prompt, such as 2,651,1234; needs no tokenizer
    #[arg(long, value_name = "IDS", conflicts_with = "prompt")]
    pub(crate) tokens: Option<TokenList>,
    /// The prompt; - for standard input
    #[arg(required_unless_present = "tokens")]
    pub(crate) prompt: Option<String>,
}

#[derive(Args)]
pub(crate) struct Tokenize {
    /// A .gguf file, a Hugging Face folder, a name that lapidary pull downloaded, or guide for the built-in model
    /// [default: the last model used, at first the guide]
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The text; - for standard input. Control tokens such as `<start_of_turn>` are recognized; `<bos>` is not added
    #[arg(allow_hyphen_values = true)]
    pub(crate) text: String,
}

#[derive(Args)]
pub(crate) struct Logits {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Token ids, such as 2,651,1234
    #[arg(long, value_name = "IDS")]
    pub(crate) tokens: TokenList,
    /// The safetensors file to write: f32, one tensor `logits` [positions, vocabulary]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Args)]
pub(crate) struct Perplexity {
    #[command(flatten)]
    pub(crate) model: Model,
    /// The file with the text
    #[arg(short, long, value_name = "TEXT", required_unless_present = "tokens_file")]
    pub(crate) file: Option<PathBuf>,
    /// Token ids in place of a text: a file with a JSON array that starts with <bos>; needs no tokenizer
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub(crate) tokens_file: Option<PathBuf>,
    /// Tokens per window, of which the second half is scored
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) ctx: usize,
    /// Stop after this many windows
    #[arg(long, value_name = "N")]
    pub(crate) windows: Option<usize>,
    /// Also report the KL divergence from the same model in this weight format, such as f32
    #[arg(long, value_name = "FORMAT", value_parser = weights)]
    pub(crate) kl_against: Option<Auto<WeightFormat>>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Measure random weights in the shape of a published model, without a download: gemma-2-2b, gemma-2-9b, gemma-2-27b,
    /// gemma-3-270m, gemma-3-1b, gemma-3-4b, gemma-3-12b, gemma-3-27b; --weights auto means bf16
    #[arg(long, value_name = "NAME", conflicts_with = "model")]
    pub(crate) shape: Option<String>,
    /// Tokens in the session before the prompt
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) depth: usize,
    /// Measure at depths of 0, 2048 and 6144 tokens
    #[arg(long, conflicts_with = "depth")]
    pub(crate) sweep: bool,
    /// Tokens of the prompt
    #[arg(short, value_name = "N", default_value_t = 512)]
    pub(crate) prompt: usize,
    /// Tokens to generate
    #[arg(short = 'n', value_name = "N", default_value_t = 128)]
    pub(crate) generate: usize,
    /// Measure several replies together instead, for each of these numbers of them
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = up_to(MAX_SEQUENCES, "it must be a number"))]
    #[arg(conflicts_with_all = ["depth", "sweep", "profile"])]
    pub(crate) streams: Vec<usize>,
    /// Also list the milliseconds per kernel of one token
    #[arg(long)]
    pub(crate) profile: bool,
    /// Measured runs, after one to warm up
    #[arg(short, long, value_name = "N", default_value_t = 3)]
    pub(crate) runs: usize,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Devices {
    /// Measure which kernels are fastest on the default adapter
    #[arg(long)]
    pub(crate) tune: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn unset_flags_are_the_engines_defaults() {
        assert_eq!(SamplingFlags::default().or_default(Sampling::default()), Sampling::default());
    }
}
