//! What can go wrong between a question and a server's reply. Every message says what to do next.

use crate::hub::HubError;
use crate::secrets::SecretError;

/// Shorthand for a result with [`EndpointError`].
pub type Result<T, E = EndpointError> = std::result::Result<T, E>;

/// An error of talking to a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// What was typed is no address.
    #[error("{text:?} names no server: {reason}; give an address such as http://localhost:8080/v1")]
    Address {
        /// What was typed, without secrets.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key holds something else than visible ASCII characters.
    #[error("{source_name} holds no key; copy the key again, without spaces")]
    Key {
        /// The variable, or where it was typed.
        source_name: String,
    },
    /// The saved keys cannot be read or changed.
    #[error(transparent)]
    Saved(#[from] SecretError),
    /// A proxy or a file of certificates in the environment makes no sense.
    #[error(transparent)]
    Setting(#[from] HubError),
    /// The connection fails.
    #[error("cannot reach {host}: {reason}; check the address, and that the server runs")]
    Network {
        /// The host.
        host: String,
        /// What happened.
        reason: String,
    },
    /// The server's certificate is not trusted.
    #[error(
        "the connection to {host} is not secure: {reason}; if the server has a certificate of its own, name its file in SSL_CERT_FILE"
    )]
    Tls {
        /// The host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("nothing came from {host} for {seconds} seconds; it may be busy or loading the model, so try again later")]
    Stalled {
        /// The host.
        host: String,
        /// How long.
        seconds: u64,
    },
    /// The server redirects, which is not followed, because the chat and the key are for the named server alone.
    #[error("{host} redirects{}, which is not followed; if you trust that address, connect to it instead", to.as_ref().map_or_else(String::new, |to| format!(" to {to}")))]
    Redirect {
        /// The host.
        host: String,
        /// Where to.
        to: Option<String>,
    },
    /// The server does not accept the key, or wants one.
    #[error("{}", unauthorized(host, key.as_deref(), *unsent))]
    Unauthorized {
        /// The host.
        host: String,
        /// Where the key that was sent comes from; `None` if none was sent.
        key: Option<String>,
        /// Whether `OPENAI_API_KEY` is set but is not sent to this server.
        unsent: bool,
    },
    /// The server does not give access to what was asked for.
    #[error("{host} refuses access{}; another key or another model may have it", said(words.as_deref()))]
    Forbidden {
        /// The host.
        host: String,
        /// The server's words.
        words: Option<String>,
    },
    /// The server has no such model.
    #[error("{host} has no model {model}{}; choose another one of its models", said(words.as_deref()))]
    NoModel {
        /// The host.
        host: String,
        /// The model.
        model: String,
        /// The server's words.
        words: Option<String>,
    },
    /// There is no such API at the address.
    #[error("there is no OpenAI-compatible API at {url}: {reason}; check the address, which often ends with /v1")]
    NoApi {
        /// The address of the function.
        url: String,
        /// How the server answers.
        reason: String,
    },
    /// The server has no model at all.
    #[error("{host} lists no models; load one there, or name one with -m")]
    NoModels {
        /// The host.
        host: String,
    },
    /// The server has several models, and none was chosen.
    #[error("{host} has several models; choose one with -m: {}", enumerated(models))]
    SeveralModels {
        /// The host.
        host: String,
        /// Their names.
        models: Vec<String>,
    },
    /// The server is asked too often.
    #[error("{host} answers that there were too many requests{}; try again {}", said(words.as_deref()), seconds.map_or_else(|| "later".to_owned(), |seconds| format!("in {seconds} seconds")))]
    TooManyRequests {
        /// The host.
        host: String,
        /// How long it asks to wait.
        seconds: Option<u64>,
        /// The server's words.
        words: Option<String>,
    },
    /// The server refuses the request for another reason, for example because the chat is too long for the model.
    #[error("{host} refuses the request with status {status}{}; change what it names, or begin a new chat if this one is too long", said(words.as_deref()))]
    Refused {
        /// The host.
        host: String,
        /// The status code.
        status: u16,
        /// The server's words.
        words: Option<String>,
    },
    /// The server fails.
    #[error("{host} fails{}{}; try again, and look into the server's log if it happens again", status.map_or_else(String::new, |status| format!(" with status {status}")), said(words.as_deref()))]
    Server {
        /// The host.
        host: String,
        /// The status code; `None` for an error in the middle of a reply.
        status: Option<u16>,
        /// The server's words.
        words: Option<String>,
    },
    /// The connection ended in the middle of a reply.
    #[error("the connection to {host} ended before the reply did; what came is kept, so try again")]
    Cut {
        /// The host.
        host: String,
    },
    /// An answer that contradicts the API.
    #[error(
        "{host} sent an answer that makes no sense: {reason}; check that the address is that of an OpenAI-compatible API"
    )]
    Protocol {
        /// The host.
        host: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An answer is longer than anything that this program keeps.
    #[error("{host} sent more than {megabytes} MB, so the answer was cut off; set a limit of tokens")]
    TooLong {
        /// The host.
        host: String,
        /// The limit.
        megabytes: u64,
    },
    /// The server's filter ended the reply.
    #[error("the content filter of {host} ended the reply; change the question")]
    Filtered {
        /// The host.
        host: String,
    },
    /// The chat continues a text, which only models on this machine do here.
    #[error(
        "a server answers in turns; to continue a text, use a model on this machine, or turn off “Continue the text” in the settings of this chat"
    )]
    Plain,
    /// The last turn is a reply, which a server would not continue but answer.
    #[error("a server cannot continue a reply; ask for another one instead")]
    Continued,
    /// The user stopped the work.
    #[error("stopped")]
    Stopped,
}

/// The names of models for a message: all, or the first of many.
pub fn enumerated(models: &[String]) -> String {
    const MOST: usize = 20;
    let shown = models[..models.len().min(MOST)].join(", ");
    match models.len().saturating_sub(MOST) {
        0 => shown,
        others => format!("{shown} and {others} others"),
    }
}

/// The server's words after a message.
fn said(words: Option<&str>) -> String {
    words.map_or_else(String::new, |words| format!(" (“{words}”)"))
}

fn unauthorized(host: &str, key: Option<&str>, unsent: bool) -> String {
    match (key, unsent) {
        (Some(key), _) => {
            format!("{host} does not accept the key from {key}; check the key and that it is for this server")
        }
        (None, true) => format!(
            "{host} wants a key, and OPENAI_API_KEY is sent to https://api.openai.com alone; put a key for this server into \
             LAPIDARY_ENDPOINT_KEY, or type it where you connect"
        ),
        (None, false) => format!("{host} wants a key; put it into LAPIDARY_ENDPOINT_KEY, or type it where you connect"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_models_are_named_in_part() {
        let names = |count: usize| (0..count).map(|number| format!("m{number}")).collect::<Vec<_>>();
        assert_eq!(enumerated(&names(2)), "m0, m1");
        assert!(enumerated(&names(20)).ends_with(", m19"));
        assert!(enumerated(&names(412)).ends_with(", m19 and 392 others"));
    }
}
