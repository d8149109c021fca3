//! The system's key store: the Secret Service of a Unix desktop, the keychain of macOS, the credential manager of Windows.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use keyring::{Entry, Error};

use super::SecretError;

/// Under what the key store lists Lapidary's secrets.
const SERVICE: &str = "lapidary";
/// How long is waited for an answer. A locked key store asks a person for a password.
const PATIENCE: Duration = Duration::from_secs(60);

/// The secret under a name, if there is one.
pub(super) fn find(name: &str) -> Result<Option<String>, SecretError> {
    ask(name, |entry| match entry.get_password() {
        Ok(secret) => Ok(Some(secret)),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(error),
    })
}

/// Keeps a secret, in place of the one that was there.
pub(super) fn save(name: &str, secret: &str) -> Result<(), SecretError> {
    let secret = secret.to_owned();
    ask(name, move |entry| entry.set_password(&secret))
}

/// Deletes a secret, if there is one.
pub(super) fn forget(name: &str) -> Result<(), SecretError> {
    ask(name, |entry| match entry.delete_credential() {
        Err(Error::NoEntry) => Ok(()),
        done => done,
    })
}

/// Asks on a new thread, because a key store that waits for a person cannot be interrupted.
fn ask<T: Send + 'static>(
    name: &str,
    act: impl FnOnce(Entry) -> keyring::Result<T> + Send + 'static,
) -> Result<T, SecretError> {
    let name = name.to_owned();
    let (sender, answer) = channel();
    let failed = |reason: String| SecretError::KeyStore { reason };
    let work = move || {
        let done = match Entry::store_status() {
            Ok(()) => Entry::new(SERVICE, &name).and_then(act).map_err(|error| words(&error)),
            Err(error) => Err(words(error)),
        };
        // Nobody listens after the time is over.
        let _ = sender.send(done);
    };
    let started = thread::Builder::new().name("lapidary-key-store".into()).spawn(work);
    started.map_err(|error| failed(error.to_string()))?;
    match answer.recv_timeout(PATIENCE) {
        Ok(done) => done.map_err(failed),
        Err(RecvTimeoutError::Timeout) => Err(failed(format!("nothing came for {} seconds", PATIENCE.as_secs()))),
        Err(RecvTimeoutError::Disconnected) => Err(failed("it failed because of an internal error".to_owned())),
    }
}

/// An error in words that hold no secret: some errors carry the bytes that could not be decoded.
fn words(error: &Error) -> String {
    match error {
        Error::BadEncoding(_) | Error::BadDataFormat(..) => "what it holds is no text".to_owned(),
        error => error.to_string(),
    }
}
