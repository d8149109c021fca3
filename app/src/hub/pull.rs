//! From a name to a model in the cache.

use std::path::{Path, PathBuf};

use super::accepted_terms::keep_notice;
use super::cache::Cache;
use super::catalogue::references;
use super::choose::{Choice, choose};
use super::client::Client;
use super::download::{Download, Step};
use super::error::{HubError, Result};
use super::name::Reference;
use super::progress::{Meter, Phase, Progress};
use super::repo::RemoteFile;
use super::settings::cache_folder;
use super::terms;
use super::whole::is_whole;

/// Bytes that stay free on the disk.
const SPARE: u64 = 256 << 20;

/// What a download consists of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The repository and the revision that were asked for.
    pub reference: Reference,
    /// The commit that the revision means now.
    pub commit: String,
    /// The file to open; `None` for the folder of all files.
    pub open: Option<String>,
    /// The files, with sizes and hashes.
    pub files: Vec<RemoteFile>,
    /// Whether the model is under Gemma's terms.
    pub under_terms: bool,
    /// Whether the hub gives the files only to accounts that accepted the terms there.
    pub gated: bool,
}

impl Plan {
    /// Asks the hub what to download. This reads the list of files and nothing else.
    ///
    /// # Errors
    /// Those of the network and of access, and those of choosing a model among the files.
    pub fn new(client: &Client, reference: &Reference) -> Result<Self> {
        let repo = client.repo(reference)?;
        let names: Vec<String> = repo.files.iter().map(|file| file.path.clone()).collect();
        let Choice { open, files } = choose(&repo.id, &names, reference.file.as_deref())?;
        let files = repo.files.into_iter().filter(|file| files.contains(&file.path)).collect();
        let under_terms = terms::is_under_terms(repo.license.as_deref(), &repo.id.to_string());
        Ok(Self { reference: reference.clone(), commit: repo.commit, open, files, under_terms, gated: repo.gated })
    }

    /// Bytes of all files.
    pub fn total(&self) -> u64 {
        self.files.iter().map(|file| file.size).fold(0, u64::saturating_add)
    }

    /// Bytes that are in the cache already, of whole files and of parts.
    pub fn present(&self, cache: &Cache) -> u64 {
        self.files.iter().map(|file| Download::present(cache, &self.reference, file)).sum()
    }

    /// The model's path in the cache, whether it is there or not.
    pub fn path(&self, cache: &Cache) -> PathBuf {
        let snapshot = cache.snapshot(&self.reference.repo, &self.commit);
        self.open.as_ref().map_or(snapshot.clone(), |file| snapshot.join(file))
    }

    /// Deletes what came of files that are not complete, except where another program is downloading them.
    pub fn delete_parts(&self, cache: &Cache) {
        for file in &self.files {
            Download::delete_part(cache, &self.reference, file);
        }
    }

    /// Fails where the disk has no room for what is still to come.
    ///
    /// # Errors
    /// [`HubError::DiskFull`].
    pub fn check_disk(&self, cache: &Cache) -> Result<()> {
        let missing = self.total().saturating_sub(self.present(cache));
        let exists = |path: &&Path| path.exists();
        let Some(folder) = cache.root().ancestors().find(exists) else { return Ok(()) };
        // A file system that does not say how much is free may have enough.
        let Ok(free) = fs4::available_space(folder) else { return Ok(()) };
        let needed = missing.saturating_add(SPARE);
        if missing > 0 && needed > free {
            return Err(HubError::DiskFull { path: folder.to_owned(), free, needed });
        }
        Ok(())
    }

    /// Downloads what is missing, and returns the model's path. The user has accepted the terms.
    ///
    /// # Errors
    /// [`HubError::DiskFull`] before anything is downloaded, and those of downloading. What came stays, so that the next
    /// call goes on from there.
    pub fn run(&self, client: &Client, cache: &Cache, report: &mut dyn FnMut(&Progress)) -> Result<PathBuf> {
        self.check_disk(cache)?;
        let mut meter = Meter::new(self.total());
        for file in &self.files {
            meter.begin(&file.path);
            let mut came = false;
            let download = Download { client, cache, reference: &self.reference, commit: &self.commit, file };
            download.run(&mut |step| {
                match step {
                    Step::Waiting => meter.set_phase(Phase::Waiting),
                    Step::Checking => meter.set_phase(Phase::Checking),
                    Step::Retrying(error) => meter.set_phase(Phase::Retrying(error.to_string())),
                    Step::Have(bytes) => {
                        meter.have(bytes, came);
                        // The first report is of what was here before.
                        came = true;
                    }
                }
                if let Some(progress) = meter.due() {
                    report(progress);
                }
            })?;
        }
        if self.under_terms {
            keep_notice(&cache.snapshot(&self.reference.repo, &self.commit))?;
        }
        cache.set_commit(&self.reference.repo, &self.reference.revision, &self.commit)?;
        Ok(self.path(cache))
    }
}

/// Plans the download of the first of several sources that the hub gives to this account.
///
/// # Errors
/// Those of [`Plan::new`]. Where no source can be had, that of the first.
pub fn plan_first(client: &Client, sources: &[Reference]) -> Result<Plan> {
    let mut first = None;
    for source in sources {
        match Plan::new(client, source) {
            Err(error) if error.is_about_source() && sources.len() > 1 => {
                log::debug!("{source}: {error}");
                first.get_or_insert(error);
            }
            // Without access to its files a list of files is of no use; whether there is access shows the first file.
            Ok(plan) if plan.gated && client.settings().token.is_none() && sources.len() > 1 => {
                first.get_or_insert(HubError::GatedWithoutToken {
                    repo: source.repo.to_string(),
                    page: client.page(&source.repo),
                    tokens: client.settings().tokens_page(),
                });
            }
            planned => return planned,
        }
    }
    let none = || HubError::Name { text: String::new(), reason: "it leads to no repository".to_owned() };
    Err(first.unwrap_or_else(none))
}

/// A model that is in the cache as a whole, by what a person typed: see [`references`]. It needs no network.
pub fn find_named(text: &str) -> Option<PathBuf> {
    let cache = Cache::new(cache_folder()?);
    references(text).ok()?.iter().find_map(|reference| find(&cache, reference))
}

/// A model that is in the cache as a whole, by the name that downloaded it. It needs no network.
pub fn find(cache: &Cache, reference: &Reference) -> Option<PathBuf> {
    let commit = cache.commit(&reference.repo, &reference.revision)?;
    let files = cache.files(&reference.repo, &commit);
    let choice = choose(&reference.repo, &files, reference.file.as_deref()).ok()?;
    let snapshot = cache.snapshot(&reference.repo, &commit);
    if !is_whole(&choice, &snapshot) {
        log::debug!("{reference}: a part of it is missing in {}", snapshot.display());
        return None;
    }
    Some(choice.open.map_or(snapshot.clone(), |file| snapshot.join(file)))
}
