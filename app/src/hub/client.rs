//! Requests to the hub: the token for its host alone, bounded redirects and answers, and attempts after failures.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ureq::http::{HeaderMap, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};
use url::{Origin, Url};

use super::HOSTS;
use super::error::{HubError, Result, server_words};
use super::refused::Refusal;
use super::settings::{DEFAULT_ENDPOINT, HubSettings};
use super::stop::Stop;

/// The hub redirects once; its mirrors may twice.
const MAX_REDIRECTS: usize = 5;
/// The longest wait that an answer of "too many requests" may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The bundle of root certificates has some 200 kB.
const MAX_CERTIFICATES: u64 = 16 << 20;

/// Connections to the hub.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    settings: HubSettings,
    stop: Stop,
}

/// A successful response.
pub(super) struct Response {
    /// The status: 200 or 206.
    pub(super) status: StatusCode,
    /// The headers of the last host.
    pub(super) headers: HeaderMap,
    /// The headers of the hub itself, which may have redirected to another host.
    pub(super) first: HeaderMap,
    /// The last host, for messages.
    pub(super) host: String,
    body: Body,
}

impl Response {
    /// The body, which is read at most `limit` bytes long.
    pub(super) fn reader(self, limit: u64) -> ureq::BodyReader<'static> {
        self.body.into_with_config().limit(limit).reader()
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`HubError::Protocol`] where it is longer than `limit`, and [`HubError::Network`] where it is cut off.
    pub(super) fn read(self, limit: u64) -> Result<Vec<u8>> {
        let host = self.host;
        let read = self.body.into_with_config().limit(limit).read_to_vec();
        read.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => {
                HubError::Protocol { host, reason: format!("it is longer than {limit} bytes") }
            }
            error => failure(&host, error),
        })
    }
}

impl Client {
    /// Prepares connections; none is opened yet.
    ///
    /// # Errors
    /// [`HubError::Setting`] where a variable for a proxy or for certificates makes no sense.
    pub fn new(settings: HubSettings, stop: Stop) -> Result<Self> {
        // Redirects are followed here, because each one decides whether the token goes along.
        let agent = agent(settings.certificates.as_deref(), proxy()?, settings.stall, settings.stall, &stop)?;
        Ok(Self { agent, settings, stop })
    }

    /// The settings.
    pub fn settings(&self) -> &HubSettings {
        &self.settings
    }

    /// What stops the requests.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// An address of the hub, from plain path segments.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        below(&self.settings.endpoint, segments)
    }

    /// Tries again after transient failures, with growing waits.
    ///
    /// # Errors
    /// The last error.
    pub(super) fn retry<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let mut failures = 0;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(error) => {
                    failures += 1;
                    self.wait_after(error, failures)?;
                }
            }
        }
    }

    /// Waits after a failure, the `failures`th in a row.
    ///
    /// # Errors
    /// The error, where another attempt makes no sense.
    pub(super) fn wait_after(&self, error: HubError, failures: u32) -> Result<()> {
        self.stop.check()?;
        let doubled = self.settings.first_wait.saturating_mul(1 << failures.saturating_sub(1).min(6));
        let wait = match &error {
            HubError::TooManyRequests { seconds, .. } => Duration::from_secs(*seconds).max(doubled),
            error if error.is_transient() => doubled,
            _ => return Err(error),
        };
        if failures >= self.settings.attempts || wait > LONGEST_WAIT {
            return Err(error);
        }
        log::debug!("attempt {failures} failed, waiting {wait:?}: {error}");
        self.stop.sleep(wait)
    }

    /// Sends a request once and follows redirects. `range` is the value of a Range header.
    ///
    /// # Errors
    /// [`HubError::Offline`], [`HubError::Network`], [`HubError::Tls`], [`HubError::Redirect`], [`HubError::Status`],
    /// [`HubError::TooManyRequests`], [`HubError::BadToken`], [`HubError::Cancelled`], and what `refusal` makes of 401, 403, 404
    /// and 416.
    pub(super) fn attempt(
        &self,
        url: &Url,
        range: Option<&str>,
        refusal: &dyn Fn(&Refusal) -> HubError,
    ) -> Result<Response> {
        if self.settings.offline {
            return Err(HubError::Offline { what: url.to_string() });
        }
        let mut url = url.clone();
        let mut trusted = self.may_have_token(&url);
        let mut first: Option<HeaderMap> = None;
        for _ in 0..=MAX_REDIRECTS {
            self.stop.check()?;
            let host = host(&url);
            let mut request = self.agent.get(url.as_str());
            if let (true, Some(token)) = (trusted, &self.settings.token) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.secret()));
            }
            if let Some(range) = range {
                request = request.header(header::RANGE, range);
            }
            let response = request.call();
            self.stop.check()?;
            let response = response.map_err(|error| failure(&host, error))?;
            let (parts, body) = response.into_parts();
            let status = parts.status;
            if status.is_success() {
                let first = first.unwrap_or_else(|| parts.headers.clone());
                return Ok(Response { status, headers: parts.headers, first, host, body });
            }
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Err(self.refuse(status, &parts.headers, &host, trusted, refusal));
            }
            let next = target(&url, &parts.headers, &host)?;
            self.check_host(&next, &host)?;
            // Once the token stayed behind, it does not come back.
            trusted &= self.may_have_token(&next);
            first.get_or_insert(parts.headers);
            url = next;
        }
        Err(HubError::Redirect { host: host(&url), reason: format!("more than {MAX_REDIRECTS} times") })
    }

    /// The token goes to the endpoint's origin alone, and over a network only encrypted.
    fn may_have_token(&self, url: &Url) -> bool {
        let origin: Origin = self.settings.endpoint.origin();
        url.origin() == origin && (url.scheme() == "https" || is_this_machine(url))
    }

    /// The hub sends to the hosts that people are told about, and to no other. Another hub is its owner's matter.
    fn check_host(&self, next: &Url, from: &str) -> Result<()> {
        let name = next.host_str().unwrap_or_default();
        let known = HOSTS.iter().any(|host| match host.name.strip_prefix('*') {
            Some(end) => name.ends_with(end),
            None => name == host.name,
        });
        if known || self.settings.endpoint.as_str().trim_end_matches('/') != DEFAULT_ENDPOINT {
            return Ok(());
        }
        let reason = format!("to {name}, which is none of its known hosts");
        Err(HubError::Redirect { host: from.to_owned(), reason })
    }

    fn refuse(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        host: &str,
        trusted: bool,
        refusal: &dyn Fn(&Refusal) -> HubError,
    ) -> HubError {
        let with_token = trusted && self.settings.token.is_some();
        let words = |name: &str| header_text(headers, name);
        let refused = Refusal {
            status: status.as_u16(),
            host: host.to_owned(),
            code: words("x-error-code"),
            message: words("x-error-message"),
            with_token,
        };
        let says_bad_token = || refused.message.as_deref().is_some_and(|words| words.contains("Invalid credentials"));
        match (status.as_u16(), &self.settings.token) {
            (401, Some(token)) if with_token && (refused.code.is_none() || says_bad_token()) => {
                HubError::BadToken { source_name: token.source().to_owned(), tokens: self.settings.tokens_page() }
            }
            (429, _) => {
                let seconds = words("retry-after").and_then(|text| text.parse().ok());
                HubError::TooManyRequests { seconds: seconds.unwrap_or(0), with_token }
            }
            (401 | 403 | 404 | 410 | 416 | 451, _) => refusal(&refused),
            (status, _) => HubError::Status { host: host.to_owned(), status, what: "a request".to_owned() },
        }
    }
}

/// A header's text, without what a terminal would obey.
pub(crate) fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    server_words(headers.get(name)?.to_str().ok()?)
}

/// Where a redirect leads. From https it leads to https.
fn target(url: &Url, headers: &HeaderMap, host: &str) -> Result<Url> {
    let refuse = |reason: &str| HubError::Redirect { host: host.to_owned(), reason: reason.to_owned() };
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| refuse("without saying where to"))?;
    let next = url.join(location).map_err(|_| refuse("to something that is no address"))?;
    match (url.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => Ok(next),
        _ => Err(refuse("to an address that is not encrypted")),
    }
}

/// An address below another one, from plain path segments.
pub(crate) fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// The host, with the port unless it is the scheme's own.
pub(crate) fn host(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => url.to_string(),
    }
}

/// Whether an address is of this machine, which needs no encryption.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What went wrong on the way.
pub(crate) fn failure(host: &str, error: ureq::Error) -> HubError {
    let host = host.to_owned();
    let network = |reason: String| HubError::Network { host: host.clone(), reason };
    match error {
        ureq::Error::Rustls(error) => HubError::Tls { host, reason: error.to_string() },
        ureq::Error::Tls(reason) => HubError::Tls { host, reason: reason.to_owned() },
        ureq::Error::HostNotFound => network("there is no host of that name".to_owned()),
        ureq::Error::Timeout(_) => network("nothing came for too long".to_owned()),
        ureq::Error::LargeResponseHeader(..) => {
            HubError::Protocol { host, reason: "its headers are too long".to_owned() }
        }
        // rustls reports refused certificates as errors of reading.
        ureq::Error::Io(error) if is_about_certificates(&error) => HubError::Tls { host, reason: error.to_string() },
        ureq::Error::Io(error) => network(error.to_string()),
        other => network(other.to_string()),
    }
}

fn is_about_certificates(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidData && error.to_string().contains("certificate")
}

/// Connections that follow no redirect and that `stop` closes. A connection that does not open for `connect` is given up, and one
/// on which nothing comes or goes for `stall`.
///
/// # Errors
/// [`HubError::Setting`] and [`HubError::Io`] where the file of certificates cannot be used.
pub(crate) fn agent(
    certificates: Option<&Path>,
    proxy: Option<Proxy>,
    connect: Duration,
    stall: Duration,
    stop: &Stop,
) -> Result<Agent> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .tls_config(TlsConfig::builder().root_certs(root_certificates(certificates)?).build())
        .user_agent(concat!("lapidary/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_connect(Some(connect))
        .timeout_resolve(Some(connect))
        .timeout_recv_response(Some(stall))
        .timeout_per_read(Some(stall))
        .timeout_per_write(Some(stall))
        .build();
    let agent = Agent::new_with_config(config);
    stop.attach(&agent);
    Ok(agent)
}

/// The proxy of the environment. One that cannot be used is an error: going around it may be what its owner forbids.
pub(crate) fn proxy() -> Result<Option<Proxy>> {
    let names = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
    let set = names.into_iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    match (Proxy::try_from_env(), set) {
        (None, Some(name)) => Err(HubError::Setting {
            setting: name.to_owned(),
            reason: "it is no address of a proxy, such as http://proxy:3128".to_owned(),
        }),
        (proxy, _) => Ok(proxy),
    }
}

/// The certificates that are built in, or those of a file.
fn root_certificates(file: Option<&Path>) -> Result<RootCerts> {
    let Some(path) = file else {
        return Ok(RootCerts::WebPki);
    };
    let bad = |reason: &str| HubError::Setting { setting: path.display().to_string(), reason: reason.to_owned() };
    let metadata = fs::metadata(path).map_err(|error| HubError::io(path, error))?;
    if !metadata.is_file() || metadata.len() > MAX_CERTIFICATES {
        return Err(bad("it is no file of root certificates (SSL_CERT_FILE)"));
    }
    let pem = fs::read(path).map_err(|error| HubError::io(path, error))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(bad("it holds no root certificates in PEM format (SSL_CERT_FILE)"));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}
