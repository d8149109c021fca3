//! Secrets of this user: the token for the hub, and the keys of servers. They are kept in the system's key store where there is
//! one, else in a file that only its owner can read.
//!
//! A file in Lapidary's data folder lists all of them, with those that no key store took. So the key store, which may ask for a
//! password, is opened only for a secret that is in it.

mod key_store;
mod list;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

/// What can go wrong with saved secrets. No message holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file of secrets cannot be read or written.
    #[error("the file of keys {} cannot be used: {source}; repair that and try again", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of secrets holds something else.
    #[error("the file of keys {} is damaged: it is no JSON object of keys; delete it, and save the keys again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The key store does not do what it is asked for.
    #[error("the system's key store does not answer as it should: {reason}; unlock it and start Lapidary again")]
    KeyStore {
        /// Its words.
        reason: String,
    },
}

/// Where a secret is kept. It is written as the end of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The system's key store.
    KeyStore,
    /// A file that only its owner can read.
    File(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyStore => f.write_str("the system's key store"),
            Self::File(path) => write!(f, "{}, which only you can read", path.display()),
        }
    }
}

/// The saved secrets. Clones wait for each other where they change them. Whatever is in the key store can take until a person
/// has typed a password, up to a minute, so a window must not wait for it.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    folder: Option<PathBuf>,
    uses_key_store: bool,
    changing: Arc<Mutex<()>>,
}

impl Secrets {
    /// The secrets of Lapidary's data folder and of the system's key store.
    pub fn of_this_user() -> Self {
        Self { uses_key_store: true, ..Self::in_folder(crate::data_folder::data_folder()) }
    }

    /// The secrets in the file of a folder, without a key store; without a folder there are none.
    pub fn in_folder(folder: Option<PathBuf>) -> Self {
        Self { folder, uses_key_store: false, changing: Arc::default() }
    }

    /// Whether a secret is saved under a name. This opens no key store.
    ///
    /// # Errors
    /// [`SecretError::File`] and [`SecretError::Damaged`].
    pub fn has(&self, name: &str) -> Result<bool, SecretError> {
        let Some(folder) = &self.folder else { return Ok(false) };
        Ok(list::read(folder)?.contains_key(name))
    }

    /// The secret that is saved under a name.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn find(&self, name: &str) -> Result<Option<String>, SecretError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        match list::read(folder)?.remove(name) {
            // Not the same as none: a server whose key is gone must not serve without one.
            Some(None) => key_store::find(name)?.map(Some).ok_or_else(|| SecretError::KeyStore {
                reason: format!("it no longer holds {name}; save it again or forget it"),
            }),
            Some(secret) => Ok(secret),
            None => Ok(None),
        }
    }

    /// Saves a secret, and says where.
    ///
    /// # Errors
    /// [`SecretError::File`] and [`SecretError::Damaged`].
    pub fn save(&self, name: &str, secret: &str) -> Result<Place, SecretError> {
        let folder = self.folder()?;
        let taken = self.uses_key_store
            && key_store::save(name, secret)
                .inspect_err(|error| log::info!("{name} is kept in a file, because {error}"))
                .is_ok();
        self.change(folder, |secrets| {
            secrets.insert(name.to_owned(), (!taken).then(|| secret.to_owned()));
            true
        })?;
        Ok(if taken { Place::KeyStore } else { Place::File(list::path(folder)) })
    }

    /// Forgets the secret under a name. Returns whether there was one.
    ///
    /// # Errors
    /// [`SecretError`]. What is in a key store that does not open stays.
    pub fn forget(&self, name: &str) -> Result<bool, SecretError> {
        let Some(folder) = &self.folder else { return Ok(false) };
        match list::read(folder)?.get(name) {
            None => return Ok(false),
            Some(None) => key_store::forget(name)?,
            // An earlier one may be there, from when the key store still took it.
            Some(Some(_)) if self.uses_key_store => drop(key_store::forget(name)),
            Some(Some(_)) => {}
        }
        self.change(folder, |secrets| secrets.remove(name).is_some())?;
        Ok(true)
    }

    fn folder(&self) -> Result<&Path, SecretError> {
        self.folder.as_deref().ok_or_else(|| SecretError::File {
            path: PathBuf::from(list::FILE),
            source: io::Error::other("this machine has no folder for user data"),
        })
    }

    /// Changes the list. It is written if `change` returns that it is another now.
    fn change(&self, folder: &Path, change: impl FnOnce(&mut list::Secrets) -> bool) -> Result<(), SecretError> {
        // Otherwise what another thread writes between the reading and the writing would be lost. A panic leaves nothing half done.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let _no_other_program = list::lock(folder)?;
        let mut secrets = list::read(folder)?;
        if change(&mut secrets) { list::write(folder, &secrets) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_saved_under_its_name_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::in_folder(Some(folder.path().to_owned()));
        assert!(!secrets.has("a").unwrap() && !secrets.forget("a").unwrap());
        assert_eq!(secrets.save("a", "one").unwrap(), Place::File(folder.path().join("keys.json")));
        secrets.save("b", "two").unwrap();
        secrets.save("a", "three").unwrap();
        assert_eq!(secrets.find("a").unwrap().as_deref(), Some("three"));
        assert!(secrets.has("a").unwrap() && secrets.forget("a").unwrap() && !secrets.has("a").unwrap());
        assert_eq!(secrets.find("b").unwrap().as_deref(), Some("two"));
        let nowhere = Secrets::default();
        assert!(nowhere.find("a").unwrap().is_none() && nowhere.save("a", "one").is_err());
    }

    #[test]
    fn secrets_that_are_changed_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::in_folder(Some(folder.path().to_owned()));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let secrets = secrets.clone();
                scope.spawn(move || {
                    for number in 0..25 {
                        secrets.save(&format!("{thread} {number}"), "secret").unwrap();
                        if number % 5 == 4 {
                            secrets.forget(&format!("{thread} {number}")).unwrap();
                        }
                    }
                });
            }
        });
        for (thread, number) in (0..4).flat_map(|thread| (0..25).map(move |number| (thread, number))) {
            assert_eq!(secrets.has(&format!("{thread} {number}")).unwrap(), number % 5 != 4, "{thread} {number}");
        }
    }
}
