//! Parsing addresses.

use url::Url;

/// The parts of an address that name a model.
pub(super) struct Address {
    pub(super) scheme: String,
    pub(super) host: String,
    /// With its escapes.
    pub(super) path: String,
}

impl Address {
    /// # Errors
    /// Why the text is no address.
    pub(super) fn of(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("it is no address ({error})"))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        Ok(Self { scheme: url.scheme().to_owned(), host, path: url.path().to_owned() })
    }
}
