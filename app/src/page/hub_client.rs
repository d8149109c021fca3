//! Asking the hub from the worker that downloads: `hub::client` and `hub::pull` for a page.

use js_sys::encode_uri_component;
use wasm_bindgen::prelude::*;

use super::reason;
use crate::hub::{
    Choice, Hash, HubError, MAX_FOUND, Reference, Refusal, Repo, Result, SearchResult, choose, server_words, terms,
};

/// Attempts without any progress before giving up.
const ATTEMPTS: u32 = 6;
/// The wait before the second attempt, in milliseconds; it doubles with each further one.
const FIRST_WAIT: u32 = 500;
/// The longest wait that the hub may ask for, in seconds.
const MAX_WAIT: u64 = 60;
/// A list of files has some hundred bytes per file, and repositories of models have some hundred files.
const MAX_LIST: usize = 16 << 20;

#[wasm_bindgen(module = "/src/page/fetching.js")]
extern "C" {
    /// Ends what waits for the network. Clones end the same.
    #[derive(Clone)]
    pub(super) type Stop;
    #[wasm_bindgen(constructor)]
    pub(super) fn new() -> Stop;
    #[wasm_bindgen(method)]
    pub(super) fn stop(this: &Stop);
    #[wasm_bindgen(method)]
    pub(super) fn stopped(this: &Stop) -> bool;
    #[wasm_bindgen(method)]
    pub(super) async fn wait(this: &Stop, milliseconds: u32);

    /// An answer, of which the header is here.
    pub(super) type Answer;
    #[wasm_bindgen(static_method_of = Answer, js_name = ask, catch)]
    async fn ask_for(address: &str, from: f64, stop: &Stop) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method)]
    pub(super) fn status(this: &Answer) -> u16;
    #[wasm_bindgen(method)]
    pub(super) fn header(this: &Answer, name: &str) -> Option<String>;
    #[wasm_bindgen(method, catch)]
    async fn next(this: &Answer) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method)]
    pub(super) fn close(this: &Answer);
}

/// The file to download, as the hub describes it.
pub(super) struct Plan {
    pub(super) reference: Reference,
    /// The commit that the revision means now.
    pub(super) commit: String,
    /// The file's path in the repository.
    pub(super) file: String,
    /// Bytes.
    pub(super) size: u64,
    pub(super) sha256: String,
    /// Whether the model is under Gemma's terms.
    pub(super) under_terms: bool,
}

impl Plan {
    /// Where the browser keeps the file. The names of files are safe paths.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.reference.repo, self.file)
    }
}

/// Asks the hub.
pub(super) struct Client {
    /// The hub's address.
    pub(super) endpoint: String,
    pub(super) stop: Stop,
}

impl Client {
    /// The hub's name in messages.
    fn host(&self) -> String {
        self.endpoint.split("://").last().unwrap_or_default().trim_end_matches('/').to_owned()
    }

    /// # Errors
    /// [`HubError::Cancelled`] once the work is stopped.
    pub(super) fn check(&self) -> Result<()> {
        if self.stop.stopped() { Err(HubError::Cancelled) } else { Ok(()) }
    }

    /// The error of a connection that failed, unless it was stopped.
    pub(super) fn network(&self, reason: String) -> HubError {
        self.check().err().unwrap_or_else(|| HubError::Network { host: self.host(), reason })
    }

    /// An answer that contradicts itself or what is known.
    pub(super) fn protocol(&self, reason: String) -> HubError {
        HubError::Protocol { host: self.host(), reason }
    }

    fn address(&self, segments: &[&str]) -> String {
        let mut address = self.endpoint.trim_end_matches('/').to_owned();
        for segment in segments {
            address.push('/');
            address.push_str(&String::from(encode_uri_component(segment)));
        }
        address
    }

    /// The address of a repository's page.
    fn page(&self, reference: &Reference) -> String {
        format!("{}/{}", self.endpoint.trim_end_matches('/'), reference.repo)
    }

    /// Plans the download of the first of several sources that the hub gives to everybody.
    ///
    /// # Errors
    /// Those of the network and of access, and those of choosing a file. Where no source can be had, that of the first.
    pub(super) async fn plan_first(&self, sources: &[Reference]) -> Result<Plan> {
        let mut first = None;
        for source in sources {
            match self.plan(source).await {
                Err(error) if error.is_about_source() => first = first.or(Some(error)),
                planned => return planned,
            }
        }
        let none = || HubError::Name { text: String::new(), reason: "it leads to no repository".to_owned() };
        Err(first.unwrap_or_else(none))
    }

    async fn plan(&self, reference: &Reference) -> Result<Plan> {
        let repo = self.repo(reference).await?;
        if repo.gated {
            return Err(self.gated(reference));
        }
        // Without this a repository that also has a folder of safetensors would be taken for that.
        let ggufs: Vec<String> =
            repo.files.iter().map(|file| file.path.clone()).filter(|path| path.ends_with(".gguf")).collect();
        if ggufs.is_empty() {
            return Err(HubError::NoModel { repo: repo.id.to_string() });
        }
        let Choice { files, .. } = choose(&repo.id, &ggufs, reference.file.as_deref())?;
        let [path] = files.as_slice() else {
            let reason = format!("the model has {} files, and the page downloads models of one", files.len());
            return Err(HubError::Name { text: reference.to_string(), reason });
        };
        let file = repo.files.iter().find(|file| file.path == *path);
        let Some((size, Hash::Sha256(sha256))) = file.map(|file| (file.size, file.hash.clone())) else {
            return Err(self.protocol(format!("it gives no SHA-256 of {path}")));
        };
        let under_terms = terms::is_under_terms(repo.license.as_deref(), &repo.id.to_string());
        Ok(Plan { reference: reference.clone(), commit: repo.commit, file: path.clone(), size, sha256, under_terms })
    }

    async fn repo(&self, reference: &Reference) -> Result<Repo> {
        let id = reference.repo.to_string();
        let mut segments = vec!["api", "models"];
        segments.extend(id.split('/'));
        segments.extend(["revision", &reference.revision]);
        let address = self.address(&segments) + "?blobs=true";
        let answer = self.list(&address, |answer| self.refused(reference, None, answer)).await?;
        Repo::parse(reference, &answer, &self.host())
    }

    /// Searches the hub for models that the page opens, those with most downloads first.
    ///
    /// # Errors
    /// Those of the network, and [`HubError::Protocol`] where the answer is no list.
    pub(super) async fn search(&self, words: &str) -> Result<Vec<SearchResult>> {
        let (models, words) = (self.address(&["api", "models"]), String::from(encode_uri_component(words)));
        let address = format!("{models}?search={words}&filter=gguf&sort=downloads&direction=-1&limit={MAX_FOUND}");
        let refused = |answer: &Answer| {
            let (host, what) = (self.host(), "a search".to_owned());
            too_many(answer).unwrap_or(HubError::Status { host, status: answer.status(), what })
        };
        SearchResult::parse(&self.list(&address, refused).await?, self.host())
    }

    /// A list of the hub.
    async fn list(&self, address: &str, refused: impl Fn(&Answer) -> HubError) -> Result<Vec<u8>> {
        let mut failures = 0;
        loop {
            match self.try_list(address, &refused).await {
                Err(error) => {
                    failures += 1;
                    self.wait_after(error, failures).await?;
                }
                list => return list,
            }
        }
    }

    async fn try_list(&self, address: &str, refused: impl Fn(&Answer) -> HubError) -> Result<Vec<u8>> {
        let answer = self.ask(address, 0).await?;
        let list = match answer.status() {
            200 => self.read(&answer).await,
            _ => Err(refused(&answer)),
        };
        answer.close();
        list
    }

    async fn read(&self, answer: &Answer) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece(answer).await? {
            if bytes.len() + piece.length() as usize > MAX_LIST {
                return Err(self.protocol("the list of files is too long".to_owned()));
            }
            bytes.extend(piece.to_vec());
        }
        Ok(bytes)
    }

    /// Asks for the file of a plan, from a byte on.
    ///
    /// # Errors
    /// Those of the network.
    pub(super) async fn ask_for_file(&self, plan: &Plan, from: u64) -> Result<Answer> {
        let repo = plan.reference.repo.to_string();
        let segments: Vec<&str> =
            repo.split('/').chain(["resolve", &plan.commit]).chain(plan.file.split('/')).collect();
        self.ask(&self.address(&segments), from).await
    }

    async fn ask(&self, address: &str, from: u64) -> Result<Answer> {
        self.check()?;
        // Exact: files are far smaller than 2^53 bytes.
        let answer = Answer::ask_for(address, from as f64, &self.stop).await;
        Ok(answer.map_err(|error| self.network(reason(&error)))?.unchecked_into())
    }

    /// The next bytes of an answer; `None` at the end.
    ///
    /// # Errors
    /// Those of the network.
    pub(super) async fn piece(&self, answer: &Answer) -> Result<Option<js_sys::Uint8Array>> {
        let piece = answer.next().await.map_err(|error| self.network(reason(&error)))?;
        self.check()?;
        Ok(piece.dyn_into().ok())
    }

    fn gated(&self, reference: &Reference) -> HubError {
        // The page has no tokens, so nobody reads where they are made.
        HubError::GatedWithoutToken {
            repo: reference.repo.to_string(),
            page: self.page(reference),
            tokens: String::new(),
        }
    }

    /// What a refusal means, for a repository or a file of it.
    pub(super) fn refused(&self, reference: &Reference, file: Option<&str>, answer: &Answer) -> HubError {
        if let Some(error) = too_many(answer) {
            return error;
        }
        let words = |name: &str| answer.header(name).and_then(|words| server_words(&words));
        let status = answer.status();
        // The repository of a file was shown before, so it is not a private one.
        let gated = || (status == 401 && file.is_some()).then(|| "GatedRepo".to_owned());
        let code = words("x-error-code").or_else(gated);
        let refusal = Refusal { status, host: self.host(), code, message: words("x-error-message"), with_token: false };
        refusal.error(reference, file, self.page(reference), String::new())
    }

    /// Waits before another attempt, after so many failed without progress.
    ///
    /// # Errors
    /// The error itself where another attempt makes no sense, and [`HubError::Cancelled`].
    pub(super) async fn wait_after(&self, error: HubError, failures: u32) -> Result<()> {
        let asked = match error {
            HubError::TooManyRequests { seconds, .. } if seconds <= MAX_WAIT => 1000 * seconds as u32,
            _ if error.is_transient() => 0,
            _ => return Err(error),
        };
        if failures >= ATTEMPTS {
            return Err(error);
        }
        self.stop.wait(asked.max(FIRST_WAIT << (failures - 1))).await;
        self.check()
    }
}

/// The error where the hub had too many requests.
fn too_many(answer: &Answer) -> Option<HubError> {
    let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse().ok()).unwrap_or(1);
    (answer.status() == 429).then_some(HubError::TooManyRequests { seconds, with_token: false })
}
