//! `lapidary quantize`: writes a model to a GGUF file in other formats.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use lapidary_app::guide;
use lapidary_app::hub::size;
use lapidary_engine::{GgufOptions, Progress, Recipe};
use serde_json::{Value, json};

use super::failure::{Failure, sanitized};
use super::interrupt::{self, Busy};
use super::load::open;

/// Templates take some kilobytes.
const MAX_TEMPLATE_BYTES: u64 = 4 << 20;

#[derive(Args)]
pub(crate) struct Quantize {
    /// A .gguf file, a Hugging Face folder, a name that lapidary pull downloaded, or guide for the built-in model
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Formats of the matrices: q4_k_m and q5_k_m mix formats as llama.cpp does; f32, f16, bf16, q8_0, q4_k, … is one for all
    #[arg(long, value_name = "FORMAT", default_value = "q4_k_m")]
    weights: String,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn quantize(arguments: &Quantize) -> Result<(), Failure> {
    let recipe: Recipe = arguments.weights.parse()?;
    let out = &arguments.out;
    if out.exists() && !arguments.force {
        return Err(Failure::Failed(format!("{} is there already; --force replaces it", out.display())));
    }
    let files = open(Some(&arguments.model))?;
    let needed = files.gguf_bytes(recipe);
    check_disk(out, needed)?;
    let options = GgufOptions { recipe, chat_template: template(files.path()), overwrite: arguments.force };
    let busy = Busy::new();
    let terminal = io::stderr().is_terminal();
    let (started, mut shown) = (Instant::now(), u64::MAX);
    let mut report = |Progress { done, total }: Progress| {
        let percent = done.saturating_mul(100) / total.max(1);
        if terminal && percent != shown {
            shown = percent;
            let mut line = io::stderr().lock();
            let _ = write!(line, "\rWriting {} … {percent} %", out.display()).and_then(|()| line.flush());
        }
        !interrupt::interrupted()
    };
    let written = busy.wait(files.write_gguf(out, &options, &mut report));
    if terminal {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    written?;
    let seconds = started.elapsed().as_secs_f64();
    let bytes = out.metadata().map_or(needed, |metadata| metadata.len());
    let mut stdout = io::stdout().lock();
    if arguments.json {
        let object = json!({"out": out, "bytes": bytes, "weights": recipe.name(), "seconds": seconds});
        writeln!(stdout, "{object}")?;
    } else {
        let name = sanitized(&files.name()).into_owned();
        writeln!(stdout, "{}: {name} as {recipe}, {} in {seconds:.1} s", out.display(), size(bytes))?;
    }
    Ok(())
}

/// Fails where the disk has no room for so many bytes.
fn check_disk(out: &Path, needed: u64) -> Result<(), Failure> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A file system that does not say how much is free may have enough.
    match fs4::available_space(folder) {
        Ok(free) if free < needed => Err(Failure::Failed(format!(
            "{} has {} free, but the file needs {}; name a file on another disk with -o",
            folder.display(),
            size(free),
            size(needed)
        ))),
        _ => Ok(()),
    }
}

/// The template for chats that lies beside safetensors files; `None` where there is none, or in GGUF files, which hold it.
fn template(path: &Path) -> Option<String> {
    if guide::is_guide(path) {
        return template_of(guide::TOKENIZER_CONFIG.as_bytes());
    }
    let read = |name: &str| {
        let mut bytes = Vec::new();
        File::open(path.join(name)).ok()?.take(MAX_TEMPLATE_BYTES).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    let own_file = || String::from_utf8(read("chat_template.jinja")?).ok();
    own_file().or_else(|| template_of(&read("tokenizer_config.json")?))
}

/// The template of a `tokenizer_config.json`: one, or several with names, of which one is the default.
fn template_of(json: &[u8]) -> Option<String> {
    let config: Value = serde_json::from_slice(json).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match config.get("chat_template")? {
        Value::Array(list) => {
            let default = list.iter().find(|item| item.get("name").and_then(Value::as_str) == Some("default"))?;
            text(default.get("template")?)
        }
        template => text(template),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_found_in_both_spellings() {
        assert_eq!(template_of(br#"{"chat_template": "a"}"#).as_deref(), Some("a"));
        let several =
            br#"{"chat_template": [{"name": "tools", "template": "b"}, {"name": "default", "template": "c"}]}"#;
        assert_eq!(template_of(several).as_deref(), Some("c"));
        assert_eq!(template_of(b"{}"), None);
        assert!(template(Path::new(guide::NAME)).unwrap().contains("<start_of_turn>"));
    }
}
