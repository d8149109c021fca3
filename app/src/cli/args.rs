//! The arguments, and what they mean to people.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use lapidary_engine::{Activations, CacheFormat, ModelFiles, Sampling, WeightFormat};

use lapidary_app::guide;

/// Gemma-2 on your own GPU. Without a command: the window, or where there is no display a chat in the terminal, with the
/// last model used, at first with the built-in guide.
#[derive(Parser)]
#[command(name = "lapidary", bin_name = "lapidary", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Chat in the terminal
    Chat(Chat),
    /// Answer one prompt
    Run(Run),
    /// Show the tokens of a text
    Tokenize(Tokenize),
    /// Write the logits of every position to a file
    Logits(Logits),
    /// Measure how well a model predicts a text
    Perplexity(Perplexity),
    /// Measure speed
    Bench(Bench),
    /// List graphics adapters
    Devices(Devices),
    /// List the models that are on this machine
    Models(Models),
}

#[derive(Args, Clone, Default)]
pub(crate) struct Model {
    /// A .gguf file, a Hugging Face folder, or guide for the built-in one [default: the last model used, at first the guide]
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// How weights are stored: auto (as in the file), f32 (which computes in f32 throughout), f16, bf16, q8_0, q4_0, …
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = weights)]
    pub(crate) weights: Auto<WeightFormat>,
    /// How the KV cache is stored: auto (f32 with f32 weights, else f16), f32, f16
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = cache)]
    pub(crate) kv: Auto<CacheFormat>,
    /// How activations meet weights: auto (the fastest way on this device), float (exact), int8
    #[arg(long, value_name = "KIND", default_value = "auto", value_parser = activations)]
    pub(crate) activations: Auto<Activations>,
    /// Tokens that prompt and replies may take together [default: the model's own, up to 8192]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) context: Option<usize>,
    /// The graphics adapter: a name, a number of `lapidary devices`, fastest, frugal or software
    #[arg(long, value_name = "ADAPTER")]
    pub(crate) device: Option<String>,
}

/// A choice that may be left to the engine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Auto<T> {
    #[default]
    Auto,
    Chosen(T),
}

impl<T: Copy> Auto<T> {
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
        Err(_) => Err(format!("there are auto, {}", WeightFormat::ALL.map(WeightFormat::name).join(", "))),
    }
}

fn activations(text: &str) -> Result<Auto<Activations>, String> {
    match text {
        "auto" => Ok(Auto::Auto),
        "float" => Ok(Auto::Chosen(Activations::Float)),
        "int8" => Ok(Auto::Chosen(Activations::Int8)),
        _ => Err("there are auto, float and int8".into()),
    }
}

fn cache(text: &str) -> Result<Auto<CacheFormat>, String> {
    match text {
        "auto" => Ok(Auto::Auto),
        "f32" => Ok(Auto::Chosen(CacheFormat::F32)),
        "f16" => Ok(Auto::Chosen(CacheFormat::F16)),
        _ => Err("there are auto, f32 and f16".into()),
    }
}

#[derive(Args, Default)]
pub(crate) struct SamplingFlags {
    /// Stop after this many tokens
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) max_tokens: Option<usize>,
    /// 0 for the likeliest token always, higher for wilder replies [default: 1; for the guide 0]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Choose among this many tokens, 0 for all [default: 64]
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    top_k: Option<u32>,
    /// Choose among the likeliest tokens of this probability together [default: 0.95]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f32>,
    /// Leave out tokens less likely than this share of the likeliest [default: 0]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f32>,
    /// Make tokens that were said already less likely; 1 for no change [default: 1]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,
    /// Equal seeds give equal replies [default: a new one each time]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    seed: Option<u64>,
}

impl SamplingFlags {
    pub(crate) fn sampling(&self, files: &ModelFiles) -> Sampling {
        // The guide knows one answer to a question; a drawn one would only be wrong more often.
        self.or_default(if guide::is_guide(files.path()) { Sampling::greedy() } else { Sampling::default() })
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
    #[command(flatten)]
    pub(crate) sampling: SamplingFlags,
    /// What the model should know before the first turn
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
}

#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) model: Model,
    #[command(flatten)]
    pub(crate) sampling: SamplingFlags,
    /// Complete the prompt as it stands instead of answering it, for 512 tokens unless --max-tokens says otherwise; control
    /// pieces such as <start_of_turn> count, and <bos> is added
    #[arg(long)]
    pub(crate) raw: bool,
    /// Go on where the model says that it is done
    #[arg(long)]
    pub(crate) ignore_eos: bool,
    /// Print one JSON object at the end instead of text as it comes
    #[arg(long)]
    pub(crate) json: bool,
    /// Token ids in place of a prompt, like 2,651,1234; needs no tokenizer
    #[arg(long, value_name = "IDS", conflicts_with = "prompt")]
    pub(crate) tokens: Option<TokenList>,
    /// The prompt; - for standard input
    #[arg(required_unless_present = "tokens")]
    pub(crate) prompt: Option<String>,
}

#[derive(Args)]
pub(crate) struct Tokenize {
    /// A .gguf file, a Hugging Face folder, or guide for the built-in one [default: the last model used, at first the guide]
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The text; - for standard input. Control pieces such as `<start_of_turn>` count; `<bos>` is not added
    #[arg(allow_hyphen_values = true)]
    pub(crate) text: String,
}

#[derive(Args)]
pub(crate) struct Logits {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Token ids, like 2,651,1234
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
    /// The text, a file
    #[arg(short, long, value_name = "TEXT", required_unless_present = "tokens_file")]
    pub(crate) file: Option<PathBuf>,
    /// Token ids in place of a text: a file with a JSON array, which begins with <bos>; needs no tokenizer
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub(crate) tokens_file: Option<PathBuf>,
    /// Tokens in a window, of which the second half is scored
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) ctx: usize,
    /// Stop after this many windows
    #[arg(long, value_name = "N")]
    pub(crate) windows: Option<usize>,
    /// Also compare the probabilities with those of the same model in this weight format, such as f32
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
    /// Measure noise in the shape of a published model, without a download: gemma-2-2b, gemma-2-9b, gemma-2-27b,
    /// gemma-3-270m, gemma-3-1b; with --weights auto as bf16
    #[arg(long, value_name = "NAME", conflicts_with = "model")]
    pub(crate) shape: Option<String>,
    /// Tokens that the session holds already
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) depth: usize,
    /// Measure at a depth of 0, 2048 and 6144 tokens, one after the other
    #[arg(long, conflicts_with = "depth")]
    pub(crate) sweep: bool,
    /// Tokens of the prompt
    #[arg(short, value_name = "N", default_value_t = 512)]
    pub(crate) prompt: usize,
    /// Tokens to generate
    #[arg(short = 'n', value_name = "N", default_value_t = 128)]
    pub(crate) generate: usize,
    /// Also list the milliseconds that each kernel takes of a token
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
pub(crate) struct Devices {
    /// Measure which kernels are fastest on the default adapter
    #[arg(long)]
    pub(crate) tune: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Models {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Token ids, separated by commas.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TokenList(pub(crate) Vec<u32>);

impl std::str::FromStr for TokenList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        let id = |item: &str| item.trim().parse().map_err(|_| format!("{:?} is no token id", item.trim()));
        text.split(',').map(id).collect::<Result<_, _>>().map(Self)
    }
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
    fn token_lists() {
        assert_eq!("2, 651,7".parse(), Ok(TokenList(vec![2, 651, 7])));
        assert_eq!("".parse(), Ok(TokenList(vec![])));
        assert_eq!("2,x".parse::<TokenList>(), Err("\"x\" is no token id".into()));
        assert!("2,-1".parse::<TokenList>().is_err());
        assert!("2,,3".parse::<TokenList>().is_err());
        assert!("99999999999".parse::<TokenList>().is_err());
    }

    #[test]
    fn unset_flags_are_the_engines_defaults() {
        assert_eq!(SamplingFlags::default().or_default(Sampling::default()), Sampling::default());
    }
}
