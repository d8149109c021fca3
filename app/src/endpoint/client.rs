//! Requests to a server. The key goes to its host alone, redirects are not followed, and every answer is bounded.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body};
use url::Url;

use super::address::Address;
use super::error::{EndpointError, Result};
use super::keys::Keys;
use super::request::{ChatRequest, Shape};
use super::stream::ReplyStream;
use super::words;
use crate::hub::{HubError, Stop, Token, agent, certificates_file, header_text, proxy};

/// A server from which nothing comes for this long is given up.
pub const STALL: Duration = Duration::from_secs(60);
/// A connection that does not open for this long is given up.
const CONNECT: Duration = Duration::from_secs(15);
/// Bytes of a list of models.
const MAX_LIST: u64 = 4 << 20;
/// Bytes of an error that are read.
const MAX_ERROR: u64 = 64 << 10;
/// Bytes of the longest name of a model.
const MAX_NAME: usize = 256;

/// Connections to a server.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    address: Address,
    key: Option<Token>,
    withheld: bool,
    stop: Stop,
    stall: Duration,
}

impl Client {
    /// Prepares connections, with the key that `keys` have for the server; none is opened yet. `stop` ends all of its work, and
    /// `stall` is how long nothing may come, [`STALL`] except in tests.
    ///
    /// # Errors
    /// [`EndpointError::Key`], [`EndpointError::Saved`], and [`EndpointError::Setting`] where a variable for a proxy or for
    /// certificates makes no sense.
    pub fn new(address: &Address, keys: &Keys, stop: &Stop, stall: Duration) -> Result<Self> {
        Ok(Self { withheld: keys.withholds(address), ..Self::with_key(address, keys.find(address)?, stop, stall)? })
    }

    /// Prepares connections with a key, or without one.
    ///
    /// # Errors
    /// [`EndpointError::Setting`].
    pub fn with_key(address: &Address, key: Option<Token>, stop: &Stop, stall: Duration) -> Result<Self> {
        // A proxy does not reach this machine.
        let proxy = if address.is_this_machine() { None } else { proxy()? };
        let agent = agent(certificates_file().as_deref(), proxy, CONNECT.min(stall), stall, stop)?;
        Ok(Self { agent, address: address.clone(), key, withheld: false, stop: stop.clone(), stall })
    }

    /// The names of the server's models, sorted. Names that are very long or hold control characters are left out.
    ///
    /// # Errors
    /// All but those of replies.
    pub fn models(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Value>,
        }
        let url = self.address.function(&["models"]);
        let request = self.authorized(self.agent.get(url.as_str()));
        let response = request.call().map_err(|error| self.failure(error))?;
        let body = self.accept(&url, "", response)?.into_body();
        let bytes = self.read(body, MAX_LIST)?;
        let list: List = serde_json::from_slice(&bytes).map_err(|_| EndpointError::NoApi {
            url: url.to_string(),
            reason: "it answers with no list of models".into(),
        })?;
        let usable = |name: &&str| !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control);
        let names = list.data.iter().filter_map(|model| model["id"].as_str()).filter(usable);
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Asks for a reply, which arrives through the stream. Dropping the stream closes the connection, which stops the server.
    ///
    /// # Errors
    /// All but those of replies.
    pub fn chat(&self, request: &ChatRequest<'_>) -> Result<ReplyStream> {
        let asked = Instant::now();
        let mut shape = request.shape();
        let response = loop {
            let response = self.ask(request, shape);
            let words = match &response {
                Err(
                    EndpointError::Refused { words, .. }
                    | EndpointError::Forbidden { words, .. }
                    | EndpointError::Server { words, .. },
                ) => words.as_deref(),
                _ => None,
            };
            let refused = matches!(response, Err(EndpointError::Refused { .. }));
            match words.and_then(|words| shape.after(words)) {
                Some(other) => shape = other,
                // Not every server says that it refuses log-probabilities.
                None if refused && shape.has_alternatives() => shape = shape.without_alternatives(),
                None => break response?,
            }
        };
        let kind = header_text(response.headers(), header::CONTENT_TYPE.as_str()).unwrap_or_default();
        if !kind.to_ascii_lowercase().starts_with("text/event-stream") {
            let reason = "it answers with something else than a stream of events";
            return Err(EndpointError::Protocol { host: self.address.host(), reason });
        }
        let refused = request.shape().has_alternatives() && !shape.has_alternatives();
        let (body, host) = (response.into_body(), self.address.host());
        Ok(ReplyStream::new(body, host, self.stall, self.stop.clone(), asked, refused))
    }

    fn ask(&self, request: &ChatRequest<'_>, shape: Shape) -> Result<Response<Body>> {
        let url = self.address.function(&["chat", "completions"]);
        let sent = self
            .authorized(self.agent.post(url.as_str()))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream")
            .send(request.body(shape));
        self.accept(&url, request.model, sent.map_err(|error| self.failure(error))?)
    }

    fn authorized<T>(&self, request: ureq::RequestBuilder<T>) -> ureq::RequestBuilder<T> {
        match &self.key {
            Some(key) => request.header(header::AUTHORIZATION, format!("Bearer {}", key.secret())),
            None => request,
        }
    }

    /// The response, unless it reports an error.
    fn accept(&self, url: &Url, model: &str, response: Response<Body>) -> Result<Response<Body>> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        if status.is_redirection() {
            let to = parts.headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
            let to = to.and_then(|to| url.join(to).ok()).filter(|to| to.has_host());
            let to = to.map(|to| to.origin().ascii_serialization());
            return Err(EndpointError::Redirect { host: self.address.host(), to });
        }
        // The words are of use, but their absence is no other error.
        let body = self.read(body, MAX_ERROR).unwrap_or_default();
        Err(self.refusal(url, model, status, &parts.headers, &body))
    }

    fn refusal(&self, url: &Url, model: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> EndpointError {
        let (host, words) = (self.address.host(), words::of_body(body));
        match status.as_u16() {
            401 => {
                let key = self.key.as_ref().map(|key| key.source().to_owned());
                EndpointError::Unauthorized { host, key, unsent: self.withheld }
            }
            403 => EndpointError::Forbidden { host, words },
            404 if !model.is_empty() && words::is_error(body) => {
                EndpointError::NoModel { host, model: model.to_owned(), words }
            }
            404 | 405 => {
                EndpointError::NoApi { url: url.to_string(), reason: format!("{host} answers {}", status.as_u16()) }
            }
            429 => {
                let seconds =
                    header_text(headers, header::RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
                EndpointError::TooManyRequests { host, seconds, words }
            }
            status @ 400..500 => EndpointError::Refused { host, status, words },
            status => EndpointError::Server { host, status: Some(status), words },
        }
    }

    fn read(&self, body: Body, limit: u64) -> Result<Vec<u8>> {
        body.into_with_config().limit(limit).read_to_vec().map_err(|error| self.failure(error))
    }

    fn failure(&self, error: ureq::Error) -> EndpointError {
        failure(&self.address.host(), self.stall, &self.stop, error)
    }
}

/// What went wrong on the way. After a stop, that is only its consequence.
pub(super) fn failure(host: &str, stall: Duration, stop: &Stop, error: ureq::Error) -> EndpointError {
    if stop.is_stopped() {
        return EndpointError::Stopped;
    }
    match error {
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
            EndpointError::Network { host: host.to_owned(), reason: "it does not answer".to_owned() }
        }
        ureq::Error::Timeout(_) => EndpointError::Stalled { host: host.to_owned(), seconds: stall.as_secs() },
        ureq::Error::BodyExceedsLimit(limit) => {
            EndpointError::TooLong { host: host.to_owned(), megabytes: limit.div_ceil(1 << 20) }
        }
        error => match crate::hub::failure(host, error) {
            HubError::Tls { host, reason } => EndpointError::Tls { host, reason },
            HubError::Network { host, reason } => EndpointError::Network { host, reason },
            other => EndpointError::Network { host: host.to_owned(), reason: other.to_string() },
        },
    }
}
