//! Where a server is.

use std::fmt;

use url::Url;

use super::error::{EndpointError, Result};
use crate::hub::{below, host, is_this_machine};

/// The base address of a server's API, such as `http://localhost:8080/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    url: Url,
}

impl Address {
    /// Reads what a person typed. Without a scheme it is `http` for this machine and `https` for others; without a path it is
    /// `/v1`. The paths of single functions, such as `/chat/completions`, are dropped.
    ///
    /// # Errors
    /// [`EndpointError::Address`].
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let wrong = |reason| EndpointError::Address { text: without_secrets(text), reason };
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}")).and_then(|url| match is_this_machine(&url) {
                true => Ok(url),
                false => Url::parse(&format!("https://{text}")),
            })
        };
        let mut url = url.map_err(|_| wrong("it is no address"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("only http and https addresses lead to a server"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it holds a user name or a password; a key goes into LAPIDARY_ENDPOINT_KEY"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it must end with the path; take out what begins with ? or #"));
        }
        let path = url.path().trim_end_matches('/');
        let path = ["/chat/completions", "/completions", "/models"]
            .into_iter()
            .find_map(|function| path.strip_suffix(function))
            .unwrap_or(path)
            .to_owned();
        url.set_path(if path.is_empty() { "/v1" } else { &path });
        Ok(Self { url })
    }

    /// The host, with the port unless it is the scheme's own.
    pub fn host(&self) -> String {
        host(&self.url)
    }

    /// The address as text, which [`Address::parse`] reads.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Scheme, host and port, for which a key is kept.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether the host is this machine by name or number.
    pub fn is_this_machine(&self) -> bool {
        is_this_machine(&self.url)
    }

    /// Whether others on the way to the server could read what is sent.
    pub fn is_open(&self) -> bool {
        self.url.scheme() != "https" && !self.is_this_machine()
    }

    /// What is told before the first message goes out: a sentence.
    pub fn warning(&self) -> String {
        let open = if self.is_open() { ", without encryption" } else { "" };
        // What listens on this machine may pass it on.
        let left = if self.is_this_machine() { "program" } else { "machine" };
        format!("Your messages leave this {left}: the whole chat is sent to {}{open}.", self.host())
    }

    /// The address of a function of the API.
    pub(super) fn function(&self, path: &[&str]) -> Url {
        below(&self.url, path)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was typed, for a message: without a user name and a password before the host, and without what follows the path.
fn without_secrets(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let (host, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
    let host = host.rsplit('@').next().unwrap_or_default();
    let mut shown = if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") };
    if !path.is_empty() {
        shown = format!("{shown}/{path}");
    }
    shown.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_completed() {
        for (typed, address) in [
            ("localhost:8080", "http://localhost:8080/v1"),
            (" http://127.0.0.1:8000/ ", "http://127.0.0.1:8000/v1"),
            ("api.example.com", "https://api.example.com/v1"),
            ("https://api.example.com/v1/chat/completions", "https://api.example.com/v1"),
            ("https://example.com/openai/v1/models/", "https://example.com/openai/v1"),
            ("http://[::1]:9", "http://[::1]:9/v1"),
            ("[::1]:8080", "http://[::1]:8080/v1"),
            ("models.localhost:8080", "https://models.localhost:8080/v1"),
        ] {
            let parsed = Address::parse(typed).unwrap();
            assert_eq!(parsed.as_str(), address, "{typed:?}");
            assert_eq!(Address::parse(parsed.as_str()).unwrap(), parsed);
        }
        let address = Address::parse("https://example.com/openai/v1").unwrap();
        assert_eq!(address.function(&["chat", "completions"]).path(), "/openai/v1/chat/completions");
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_secrets() {
        for typed in ["", "ftp://host", "http://", "me:secret@host", "https://secret@host/v1", "host/v1?key=secret"] {
            let message = Address::parse(typed).unwrap_err().to_string();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn open_connections_are_told_apart() {
        let open = |text| Address::parse(text).unwrap().is_open();
        assert!(open("http://192.168.1.5:8000"));
        assert!(open("http://models.localhost:8000"), "names below localhost can lead to other machines");
        assert!(!open("https://192.168.1.5:8000") && !open("http://localhost:1") && !open("http://[::1]:1"));
        assert!(Address::parse("http://host.example").unwrap().warning().contains("without encryption"));
    }
}
