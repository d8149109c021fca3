//! The keys of servers: from variables, or from a file that only its owner can read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::address::Address;
use super::error::{EndpointError, Result};
use crate::hub::{Token, write_private};

/// The variable with the key for the servers that the user names. A key that is saved for a server wins over it.
pub const KEY_VARIABLE: &str = "LAPIDARY_ENDPOINT_KEY";
/// The variable that other programs read. It was not set for Lapidary, so it goes to [`SHARED_ORIGIN`] alone.
const SHARED_VARIABLE: &str = "OPENAI_API_KEY";
/// The only server that gets the key of [`SHARED_VARIABLE`].
const SHARED_ORIGIN: &str = "https://api.openai.com";
/// The file in Lapidary's data folder: a JSON object of keys by origin.
const FILE: &str = "endpoint-keys.json";
/// The size of the largest file of keys, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Where keys come from. Clones wait for each other where they change the saved keys.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    folder: Option<PathBuf>,
    own: Option<String>,
    shared: Option<String>,
    changing: Arc<Mutex<()>>,
}

impl Keys {
    /// The keys of the environment and of Lapidary's data folder.
    pub fn of_this_user() -> Self {
        Self::new(crate::data_folder::data_folder(), |name| std::env::var(name).ok())
    }

    /// The keys of these variables and of a folder.
    pub fn new(folder: Option<PathBuf>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value| !value.trim().is_empty());
        Self { folder, own: set(KEY_VARIABLE), shared: set(SHARED_VARIABLE), changing: Arc::default() }
    }

    /// Whether [`KEY_VARIABLE`] is set, so that servers without a saved key get that one.
    pub fn is_set_by_variable(&self) -> bool {
        self.own.is_some()
    }

    /// The key for a server: the one saved for it, else that of `LAPIDARY_ENDPOINT_KEY`, else, for `https://api.openai.com` alone,
    /// that of `OPENAI_API_KEY`.
    ///
    /// # Errors
    /// [`EndpointError::Key`] and [`EndpointError::KeyFile`].
    pub fn find(&self, address: &Address) -> Result<Option<Token>> {
        if let Some(folder) = &self.folder
            && let Some(key) = read(folder)?.get(&address.origin())
        {
            return token(key, &format!("the settings for {}", address.host())).map(Some);
        }
        if let Some(key) = &self.own {
            return token(key, KEY_VARIABLE).map(Some);
        }
        match &self.shared {
            Some(key) if address.origin() == SHARED_ORIGIN => token(key, SHARED_VARIABLE).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether the key of `OPENAI_API_KEY` is there and not sent to this server.
    pub(super) fn withholds(&self, address: &Address) -> bool {
        self.shared.is_some() && address.origin() != SHARED_ORIGIN
    }

    /// Checks a key that was typed.
    ///
    /// # Errors
    /// [`EndpointError::Key`].
    pub fn typed(key: &str) -> Result<Token> {
        token(key, "the field for the key")
    }

    /// Saves the key of a server, readable by its owner alone.
    ///
    /// # Errors
    /// [`EndpointError::KeyFile`].
    pub fn save(&self, address: &Address, key: &Token) -> Result<()> {
        self.change(|keys| {
            keys.insert(address.origin(), key.secret().to_owned());
            true
        })
    }

    /// Forgets the key of a server, if one is saved.
    ///
    /// # Errors
    /// [`EndpointError::KeyFile`].
    pub fn forget(&self, address: &Address) -> Result<()> {
        if self.folder.is_none() {
            return Ok(());
        }
        self.change(|keys| keys.remove(&address.origin()).is_some())
    }

    /// Changes the saved keys. They are written if `change` returns that they are others now.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, String>) -> bool) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Err(failed(Path::new(FILE), io::Error::other("this machine has no folder for user data")));
        };
        // Otherwise what another thread writes between the reading and the writing would be lost. A panic leaves nothing half done.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = read(folder)?;
        if !change(&mut keys) {
            return Ok(());
        }
        let path = folder.join(FILE);
        let text = serde_json::to_string(&keys).map_err(|error| failed(&path, error.into()))?;
        write_private(&path, &text).map_err(|error| failed(&path, error))
    }
}

fn token(key: &str, source: &str) -> Result<Token> {
    Token::new(key, source).map_err(|_| EndpointError::Key { source_name: source.to_owned() })
}

fn failed(path: &Path, source: io::Error) -> EndpointError {
    EndpointError::KeyFile { path: path.to_owned(), source }
}

fn read(folder: &Path) -> Result<BTreeMap<String, String>> {
    let path = folder.join(FILE);
    let mut text = String::new();
    match File::open(&path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text)) {
        Ok(_) => serde_json::from_str(&text).map_err(|_| {
            // The parser's own words can hold a key.
            failed(&path, io::Error::new(io::ErrorKind::InvalidData, "it is no JSON object of keys"))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(failed(&path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(keys: &Keys, address: &str) -> Option<String> {
        let key = keys.find(&Address::parse(address).unwrap()).unwrap();
        key.map(|key| key.secret().to_owned())
    }

    #[test]
    fn a_saved_key_is_for_one_server_and_wins_over_variables() {
        let folder = tempfile::tempdir().unwrap();
        let here = || Some(folder.path().to_owned());
        let keys = Keys::new(here(), |_| None);
        let server = Address::parse("https://a.example/v1").unwrap();
        assert_eq!(secret(&keys, "https://a.example/v1"), None);
        keys.save(&server, &Keys::typed(" saved\n").unwrap()).unwrap();
        assert_eq!(secret(&keys, "https://a.example/other").as_deref(), Some("saved"));
        for other in ["https://b.example", "https://a.example:444", "http://a.example", "https://x.a.example"] {
            assert_eq!(secret(&keys, other), None, "{other}");
        }
        let both = Keys::new(here(), |name| Some(name.to_lowercase()));
        assert_eq!(secret(&both, "https://a.example").as_deref(), Some("saved"));
        assert_eq!(secret(&both, "https://b.example").as_deref(), Some("lapidary_endpoint_key"));
        assert_eq!(secret(&both, "https://api.openai.com").as_deref(), Some("lapidary_endpoint_key"));
        let shared = Keys::new(here(), |name| (name == SHARED_VARIABLE).then(|| "shared".into()));
        assert_eq!(secret(&shared, "https://a.example").as_deref(), Some("saved"));
        assert_eq!(secret(&shared, "https://api.openai.com/v1").as_deref(), Some("shared"));
        for other in [
            "https://b.example",
            "localhost:8080",
            "http://api.openai.com",
            "https://api.openai.com:444",
            "https://api.openai.com.b.example",
        ] {
            assert_eq!(secret(&shared, other), None, "{other}");
        }
        keys.forget(&server).unwrap();
        keys.forget(&server).unwrap();
        assert_eq!(secret(&keys, "https://a.example"), None);
    }

    #[test]
    fn keys_that_are_changed_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::new(Some(folder.path().to_owned()), |_| None);
        let address =
            |thread: u16, number: u16| Address::parse(&format!("localhost:{}", 100 * thread + number)).unwrap();
        let key = Keys::typed("sk").unwrap();
        std::thread::scope(|scope| {
            for thread in 1..=4 {
                let (keys, key) = (keys.clone(), key.clone());
                scope.spawn(move || {
                    for number in 0..25 {
                        keys.save(&address(thread, number), &key).unwrap();
                        if number % 5 == 4 {
                            keys.forget(&address(thread, number)).unwrap();
                        }
                    }
                });
            }
        });
        for (thread, number) in (1..=4).flat_map(|thread| (0..25).map(move |number| (thread, number))) {
            let kept = keys.find(&address(thread, number)).unwrap().is_some();
            assert_eq!(kept, number % 5 != 4, "{thread} {number}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        let server = Address::parse("localhost").unwrap();
        let keys = Keys::new(None, |_| Some("two words".into()));
        let message = keys.find(&server).unwrap_err().to_string();
        assert!(message.contains(KEY_VARIABLE) && !message.contains("words"), "{message}");
        let keys = Keys::new(Some(folder.path().to_owned()), |_| None);
        for text in ["{", "\"sk-secret\"", "[\"sk-secret\"]"] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let message = keys.find(&server).unwrap_err().to_string();
            assert!(message.contains(FILE) && !message.contains("secret"), "{message}");
        }
        assert!(Keys::new(None, |_| Some(" ".into())).find(&server).unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn saved_keys_are_readable_by_their_owner_alone_and_not_printed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::new(Some(folder.path().to_owned()), |_| None);
        let key = Keys::typed("sk-secret").unwrap();
        keys.save(&Address::parse("localhost").unwrap(), &key).unwrap();
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{key:?}").contains("secret"));
    }
}
