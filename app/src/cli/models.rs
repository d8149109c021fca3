//! `lapidary models`: the built-in guide, and the Gemma models in the Hugging Face cache and in the folders of other programs.

use std::io::{self, Write};

use lapidary_app::models::FoundModel;
use lapidary_app::{guide, model_folders, models};
use serde_json::json;

use super::args;
use super::failure::{Failure, sanitized};

pub(crate) fn models(arguments: &args::Models) -> Result<(), Failure> {
    if let Some(folder) = &arguments.add {
        model_folders::add(folder).map_err(Failure::Failed)?;
    }
    if let Some(folder) = &arguments.remove
        && !model_folders::remove(folder).map_err(Failure::Failed)?
    {
        let added = model_folders::added();
        let added = added.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>();
        let what =
            if added.is_empty() { "no folder was added".to_owned() } else { format!("added are {}", added.join(", ")) };
        return Err(Failure::Failed(format!("{} was not added; {what}", folder.display())));
    }
    // Those that the window and the terminal used before are among them.
    let found = models::find();
    // The name by which requests to `lapidary serve` ask for it, and the value for -m, which files without a repository need.
    let name = |model: &FoundModel| models::id_of(model.path.as_deref());
    let value =
        |model: &FoundModel| model.path.as_ref().map_or(guide::NAME.to_owned(), |path| path.display().to_string());
    let mut out = io::stdout().lock();
    if arguments.json {
        let list: Vec<_> =
            found.iter().map(|model| json!({"name": name(model), "model": value(model), "note": model.note})).collect();
        writeln!(out, "{}", json!({ "models": list }))?;
        return Ok(());
    }
    for model in &found {
        writeln!(out, "{} ({})\n   -m {}", sanitized(&name(model)), model.note, sanitized(&value(model)))?;
    }
    if found.len() == 1 {
        writeln!(out, "\nOther models are used by their path: lapidary chat -m gemma-2-2b-it-Q4_K_M.gguf")?;
    }
    Ok(())
}
