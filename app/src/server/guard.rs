//! Who may use the server.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HOST, ORIGIN, VARY,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::ApiError;

/// Checks each request's host, origin and key.
pub(super) struct Guard {
    /// Whether the server listens on this machine only.
    loopback: bool,
    /// Further names that the host may have.
    hosts: Vec<String>,
    /// Origins of web pages that may use the server.
    origins: Vec<String>,
    /// The digest of the key. Comparing digests takes the same time whatever a wrong key has in common with the right one.
    key: Option<[u8; 32]>,
}

impl Guard {
    pub(super) fn new(loopback: bool, hosts: Vec<String>, origins: Vec<String>, key: Option<&str>) -> Self {
        Self { loopback, hosts, origins, key: key.map(digest) }
    }

    /// Refuses requests that a web page makes through a name of its own which it points to this machine (DNS rebinding),
    /// requests of other web pages, and requests without the key.
    ///
    /// # Errors
    /// 400, 401 or 403.
    pub(super) fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let authority = host(headers)?;
        let known = |authority: &Authority| self.knows(authority.host());
        if !known(&authority) || !uri.authority().is_none_or(known) {
            let message = format!(
                "this server does not answer to the name {:?}; use its address, or start it with --allow-host",
                authority.host()
            );
            return Err(ApiError::new(StatusCode::FORBIDDEN, "unknown_host", message));
        }
        for origin in headers.get_all(ORIGIN) {
            let same = format!("http://{authority}");
            let same = origin.as_bytes().eq_ignore_ascii_case(same.as_bytes());
            if !same && !self.allows(origin) {
                let message =
                    "web pages of this origin may not use the server; start it with --allow-origin to allow one";
                return Err(ApiError::new(StatusCode::FORBIDDEN, "unknown_origin", message));
            }
        }
        // Programs that watch the server need no key, and browsers ask about CORS without one.
        if uri.path() == "/health" || self.is_preflight(method, headers) {
            return Ok(());
        }
        self.check_key(headers)
    }

    fn check_key(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(key) = &self.key else { return Ok(()) };
        let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let given = match given.split_at_checked(7) {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case(b"Bearer ") => given,
            _ => b"",
        };
        let digest: [u8; 32] = Sha256::digest(given).into();
        if bool::from(digest[..].ct_eq(&key[..])) {
            return Ok(());
        }
        let message = "the API key is missing or wrong; send it as \"Authorization: Bearer KEY\"";
        Err(ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
    }

    /// Whether the server answers to this host. A web page can point its own name to this machine, but not an address.
    fn knows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        match address.parse::<IpAddr>() {
            Ok(address) => !self.loopback || address.is_loopback(),
            Err(_) => host == "localhost" || self.hosts.iter().any(|name| name.eq_ignore_ascii_case(&host)),
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|allowed| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes()))
    }

    fn is_preflight(&self, method: &Method, headers: &HeaderMap) -> bool {
        method == Method::OPTIONS
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            && headers.get(ORIGIN).is_some_and(|origin| self.allows(origin))
    }

    /// The answer to a browser that asks whether a page may send a request.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
        if !self.is_preflight(method, headers) {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let mut add = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
        add(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        add(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            add(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        Some(response)
    }

    /// Lets the page that asked read the answer, if it is of an allowed origin.
    pub(super) fn add_cors(&self, origin: Option<&HeaderValue>, response: &mut Response<Body>) {
        if self.origins.is_empty() {
            return;
        }
        response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// The one host of a request.
fn host(headers: &HeaderMap) -> Result<Authority, ApiError> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
        _ => None,
    };
    host.ok_or_else(|| {
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_host", "the request needs one valid Host header")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    fn check(guard: &Guard, headers: &[(&str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let checked = guard.check(&Method::POST, &Uri::from_static("/v1/models"), &map);
        checked.map_or_else(|error| error.into_response().status().as_u16(), |()| 200)
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let guard = Guard::new(true, vec!["box.lan".into()], Vec::new(), None);
        for host in ["localhost:8080", "127.0.0.1", "[::1]:80", "LOCALHOST", "Box.lan:1", "127.9.9.9"] {
            assert_eq!(check(&guard, &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "192.168.0.1:8080", "127.0.0.1.evil.example", "[::2]"] {
            assert_eq!(check(&guard, &[("host", host)]), 403, "{host}");
        }
        assert_eq!(check(&guard, &[]), 400);
        assert_eq!(check(&guard, &[("host", "localhost"), ("host", "evil.example")]), 400);
        let open = Guard::new(false, Vec::new(), Vec::new(), None);
        assert_eq!(check(&open, &[("host", "192.168.0.1:8080")]), 200);
        assert_eq!(check(&open, &[("host", "evil.example")]), 403);
    }

    #[test]
    fn web_pages_need_to_be_allowed() {
        let guard = Guard::new(true, Vec::new(), vec!["https://app.example".into()], None);
        let from = |origin| check(&guard, &[("host", "localhost:8080"), ("origin", origin)]);
        assert_eq!(from("https://app.example"), 200);
        assert_eq!(from("http://localhost:8080"), 200);
        for origin in ["http://localhost:3000", "https://evil.example", "null", "http://app.example"] {
            assert_eq!(from(origin), 403, "{origin}");
        }
    }

    #[test]
    fn the_key_is_compared_whole() {
        let guard = Guard::new(true, Vec::new(), Vec::new(), Some("secret"));
        let with = |key| check(&guard, &[("host", "localhost"), ("authorization", key)]);
        assert_eq!(with("Bearer secret"), 200);
        assert_eq!(with("bearer secret"), 200);
        for key in ["Bearer secre", "Bearer secrets", "Bearer ", "secret", "Basic secret", ""] {
            assert_eq!(with(key), 401, "{key}");
        }
        assert_eq!(check(&guard, &[("host", "localhost")]), 401);
    }
}
