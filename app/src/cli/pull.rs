//! `lapidary pull`: downloads a model into the Hugging Face cache.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use lapidary_app::data_folder::data_folder;
use lapidary_app::hub::{
    Cache, Client, HubError, HubSettings, Phase, Plan, Progress, Stop, catalogue, duration, find, plan_first,
    references, size, terms,
};
use serde_json::json;

use super::failure::{Failure, print_error, sanitized};
use super::interrupt::{Busy, interrupted, stop_on_interrupt};
use super::terminal::ProgressBar;

#[derive(Args)]
pub(crate) struct Pull {
    /// A name of the catalogue (gemma-2-2b-it, gemma-2-2b-it:q8_0), org/repo, org/repo:file.gguf, org/repo:Q4_K_M, or an
    /// address on the hub
    #[arg(value_name = "NAME", required_unless_present = "list")]
    name: Option<String>,
    /// Say what would be downloaded, and download nothing
    #[arg(long)]
    dry_run: bool,
    /// Accept the Gemma Terms of Use, https://ai.google.dev/gemma/terms
    #[arg(long)]
    accept_terms: bool,
    /// List the catalogue
    #[arg(long, conflicts_with = "name")]
    list: bool,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

pub(crate) fn pull(arguments: &Pull) -> Result<(), Failure> {
    let Some(name) = &arguments.name else { return list(arguments.json) };
    let references = references(name)?;
    let settings = HubSettings::from_env()?;
    let cache = Cache::new(&settings.cache);
    if settings.offline {
        let found = references.iter().find_map(|reference| find(&cache, reference));
        let path = found.ok_or_else(|| HubError::Offline { what: format!("the download of {name}") })?;
        return report_path(name, &path, arguments.json);
    }
    let busy = Busy::new();
    let stop = Stop::default();
    stop_on_interrupt(stop.clone());
    let client = Arc::new(Client::new(settings, stop)?);
    let plan = plan_first(&client, &references)?;
    if arguments.dry_run {
        return dry_run(&client, &cache, &plan, arguments.json);
    }
    if plan.under_terms {
        // The answer is read in a way that Ctrl-C ends.
        drop(busy);
        agree(&plan, arguments.accept_terms)?;
    }
    let _busy = Busy::new();
    let mut shown = Shown::new();
    let path = plan.run(&client, &cache, &mut |progress| shown.show(progress));
    drop(shown);
    report_path(name, &path?, arguments.json)
}

/// Says where a model is, and how to use it.
fn report_path(name: &str, path: &Path, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", json!({"name": name, "path": path}))?;
    } else {
        writeln!(out, "{}", path.display())?;
        if io::stderr().is_terminal() {
            let _ = writeln!(io::stderr(), "Chat with it: lapidary chat -m {}", sanitized(name));
        }
    }
    Ok(())
}

fn dry_run(client: &Arc<Client>, cache: &Cache, plan: &Plan, json: bool) -> Result<(), Failure> {
    let (total, present) = (plan.total(), plan.present(cache));
    let path = plan.path(cache);
    let fit = match super::fit::of_plan(client, plan) {
        // Stopping closes connections, which is reported as an error of the network.
        Err(_) if interrupted() => return Err(Failure::Interrupted),
        fit => fit,
    };
    let mut out = io::stdout().lock();
    if json {
        let files: Vec<_> = plan
            .files
            .iter()
            .map(|file| json!({"path": file.path, "bytes": file.size, "hash": file.hash.digits()}))
            .collect();
        let mut object = json!({
            "repo": plan.reference.repo.to_string(),
            "commit": plan.commit,
            "files": files,
            "bytes": total,
            "bytes_present": present,
            "path": path,
            "gated": plan.gated,
            "under_terms": plan.under_terms,
        });
        match &fit {
            Ok(fit) => object["fit"] = fit.json(),
            Err(failure) => object["fit_error"] = failure.message().into(),
        }
        writeln!(out, "{object}")?;
    } else {
        writeln!(out, "{} at {}", plan.reference.repo, &plan.commit[..12])?;
        for file in &plan.files {
            writeln!(out, "   {:>9}  {}", size(file.size), sanitized(&file.path))?;
        }
        writeln!(out, "to download: {} of {}, to {}", size(total - present), size(total), path.display())?;
        match &fit {
            Ok(fit) => fit.print(&mut out)?,
            Err(failure) => writeln!(out, "whether it fits is not known: {}", sanitized(failure.message()))?,
        }
    }
    drop(out);
    plan.check_disk(cache)?;
    Ok(())
}

/// Makes sure that the user accepts the terms: before, by an option, or by answering here.
fn agree(plan: &Plan, accept: bool) -> Result<(), Failure> {
    let data = data_folder();
    if data.as_deref().is_some_and(terms::are_accepted) {
        return Ok(());
    }
    let answer = |accepted: bool| match accepted {
        // Without a place to remember it the question comes again.
        true => data.as_deref().map_or(Ok(()), |data| Ok(terms::accept(data)?)),
        false => Err(HubError::TermsNotAccepted { model: plan.reference.repo.to_string(), terms: terms::TERMS }.into()),
    };
    if accept {
        return answer(true);
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return answer(false);
    }
    let mut out = io::stderr().lock();
    let _ = write!(out, "{}\n\nDo you accept them? [y/N] ", terms::SUMMARY).and_then(|()| out.flush());
    // Ctrl-C writes to standard error from another thread, and would wait for the lock.
    drop(out);
    let mut line = String::new();
    let _ = io::stdin().lock().read_line(&mut line);
    answer(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Shows how far a download has come: on a terminal in one line, in a log by a line for what holds it up.
struct Shown {
    bar: ProgressBar,
    file: String,
    phase: Phase,
}

impl Shown {
    fn new() -> Self {
        Self { bar: ProgressBar::new(""), file: String::new(), phase: Phase::Receiving }
    }

    fn show(&mut self, progress: &Progress) {
        let is_new = self.file != progress.file || self.phase != progress.phase;
        if self.file != progress.file {
            self.file.clone_from(&progress.file);
            self.bar = ProgressBar::new(sanitized(&progress.file));
        }
        self.phase.clone_from(&progress.phase);
        if self.bar.is_visible() {
            self.bar.say(&state(progress));
        } else if is_new && let Some(line) = log_line(progress) {
            print_error(&line);
        }
    }
}

/// What matters in a log.
fn log_line(progress: &Progress) -> Option<String> {
    let file = &progress.file;
    match &progress.phase {
        Phase::Retrying(reason) => Some(format!("{file}: {reason}; trying again")),
        Phase::Waiting => Some(format!("{file}: another program downloads it; waiting until that ends")),
        Phase::Receiving | Phase::Checking => None,
    }
}

/// How far a download has come, in words.
fn state(progress: &Progress) -> String {
    let percent = progress.done.saturating_mul(100) / progress.total.max(1);
    let mut text = format!("{} of {}, {percent} %", size(progress.done), size(progress.total));
    match &progress.phase {
        Phase::Receiving => {
            if let Some(speed) = progress.speed {
                text += &format!(", {}/s", size(speed as u64));
            }
            if let Some(left) = progress.left {
                text += &format!(", {} left", duration(left));
            }
        }
        Phase::Checking => text += ", checking what came before",
        Phase::Waiting => text += ", waiting for another program that downloads it",
        Phase::Retrying(_) => text += ", the connection failed, trying again",
    }
    text
}

fn list(json: bool) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if json {
        let models: Vec<_> = catalogue()
            .iter()
            .map(|entry| {
                let sources: Vec<_> = entry.sources.iter().map(|source| source.repo.to_string()).collect();
                let formats: Vec<_> = entry
                    .recipes()
                    .into_iter()
                    .map(|recipe| json!({"format": recipe.name(), "bytes": entry.bytes(recipe).ok()}))
                    .collect();
                json!({"name": entry.name, "title": entry.title, "purpose": entry.purpose, "repos": sources, "formats": formats})
            })
            .collect();
        writeln!(out, "{}", json!({ "models": models }))?;
        return Ok(());
    }
    for entry in catalogue() {
        let smallest = entry.recipes().first().map(|recipe| entry.bytes(*recipe)).transpose()?;
        let bytes = smallest.map_or_else(String::new, size);
        writeln!(out, "{:<18} {bytes:>8}  {}", entry.name, entry.purpose)?;
    }
    Ok(())
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Name { .. } | HubError::NoSuchFormat { .. } => Self::Usage(error.to_string()),
            HubError::Cancelled => Self::Interrupted,
            HubError::Engine(error) => error.into(),
            error => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_a_line_for_what_holds_a_download_up() {
        let progress = |phase| Progress { file: "m.gguf".into(), phase, done: 1, total: 4, speed: None, left: None };
        assert_eq!(log_line(&progress(Phase::Receiving)), None);
        assert!(log_line(&progress(Phase::Waiting)).is_some_and(|line| line.contains("another program")));
        assert!(log_line(&progress(Phase::Retrying("no route".into()))).is_some_and(|line| line.contains("no route")));
        assert!(state(&progress(Phase::Waiting)).contains("25 %, waiting"));
    }
}
