//! How many replies a server or a batch generates at once.

use clap::Args;
use lapidary_engine::MAX_SEQUENCES;

// A doc comment here would replace the text about the command.
#[derive(Args)]
pub(crate) struct Concurrency {
    /// The most replies that are generated at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = up_to(MAX_SEQUENCES, "must be"))]
    pub(crate) parallel: usize,
    /// The most tokens of all replies at once, with their prompts [default: the context length]
    #[arg(long, value_name = "N")]
    pub(crate) cache_tokens: Option<usize>,
}

/// Reads a number from 1 to `most`. An error is `expected` and that range.
pub(super) fn up_to(
    most: usize,
    expected: &'static str,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    let usable = move |text: &str| text.parse().ok().filter(|number| (1..=most).contains(number));
    move |text| usable(text).ok_or_else(|| format!("{expected} from 1 to {most}"))
}
