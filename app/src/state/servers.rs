//! Servers whose models answer in place of one on this machine.

use super::State;
use crate::endpoint::{Address, Keys, ServerModel};
use crate::settings::SavedServer;
use crate::worker::{Command, Load, Loaded, Problem};

/// The search for the models of a server.
#[derive(Clone, Debug, Default)]
pub enum ServerSearch {
    /// No server was named yet.
    #[default]
    None,
    /// The server at this address, as it was typed, is asked.
    Asking(String),
    /// The server's models.
    Found(Address, Vec<String>),
    /// Why they cannot be listed, as a sentence.
    Failed(String),
}

impl State {
    /// Asks the server at an address for its models. The key may be empty; if the server accepts it, it is saved.
    pub fn find_server(&mut self, address: &str, key: &str) {
        let address = address.trim().to_owned();
        let key = match Some(key.trim()).filter(|key| !key.is_empty()).map(Keys::typed).transpose() {
            Ok(key) => key,
            Err(error) => {
                self.servers = ServerSearch::Failed(Problem::from(&error).sentence);
                return;
            }
        };
        self.servers = ServerSearch::Asking(address.clone());
        self.worker.send(Command::FindServer { address, key });
    }

    /// Handles the answer, unless another server was named since.
    pub(super) fn on_server_found(&mut self, typed: &str, found: Result<(Address, Vec<String>), String>) {
        if matches!(&self.servers, ServerSearch::Asking(asked) if asked == typed) {
            self.servers = match found {
                Ok((address, models)) => ServerSearch::Found(address, models),
                Err(reason) => ServerSearch::Failed(reason),
            };
        }
    }

    /// Lets a server's model answer from now on, in the open chat too. `known` says that the server has answered just now;
    /// otherwise it is asked first, and until then the present model stays.
    pub fn use_server(&mut self, server: ServerModel, known: bool) {
        if self.chat_model().is_some() {
            self.set_chat_model(None);
        }
        let load = Load { server: Some(server), ..Load::default() };
        if known {
            self.slot.checked = None;
            self.load_now(load);
        } else {
            let author = load.name();
            self.request_load(load);
            if self.slot.checked.is_some() {
                self.notify(&format!("Connecting to {author}…"));
            }
        }
    }

    /// The models of servers that were used, the latest first.
    pub fn used_servers(&self) -> Vec<ServerModel> {
        let parsed = |saved: &SavedServer| {
            Some(ServerModel { address: Address::parse(&saved.address).ok()?, model: saved.model.clone() })
        };
        self.settings.servers.iter().filter_map(parsed).collect()
    }

    /// Forgets a model of a server, and with the last one of its scheme, host and port the key.
    pub fn forget_server(&mut self, server: &ServerModel) {
        let forgotten = SavedServer::from(server);
        self.settings.servers.retain(|saved| *saved != forgotten);
        self.forget_keys(&[forgotten]);
    }

    /// Forgets the keys of servers of which no model is in the list, because nobody could forget them later.
    pub(super) fn forget_keys(&mut self, dropped: &[SavedServer]) {
        for address in dropped.iter().filter_map(|saved| Address::parse(&saved.address).ok()) {
            if !self.used_servers().iter().any(|used| used.address.origin() == address.origin()) {
                self.worker.send(Command::ForgetServer(address));
            }
        }
    }

    /// The server's model that is loaded.
    pub fn used_server(&self) -> Option<&ServerModel> {
        self.loaded().and_then(Loaded::server)
    }

    /// The server's model that is loaded or was requested last.
    pub fn requested_server(&self) -> Option<&ServerModel> {
        self.slot.load.server.as_ref()
    }
}
