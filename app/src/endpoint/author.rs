//! The authors of replies that came from a server.

/// What stands between a model's name and its server in the name of a reply's author.
const AT: &str = " at ";

/// The author of the replies of a server's model.
pub(super) fn of(model: &str, host: &str) -> String {
    format!("{model}{AT}{host}")
}

/// Whether a reply's author is the model of a server, by [`ServerModel::author`](super::ServerModel::author).
pub fn is_of_server(author: &str) -> bool {
    author.rsplit_once(AT).is_some_and(|(_, host)| !host.is_empty() && !host.contains(' '))
}
