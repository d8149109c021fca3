//! Which model of a server answers.

use super::{Address, author};

/// A model of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerModel {
    /// The server.
    pub address: Address,
    /// The server's name for the model.
    pub model: String,
}

impl ServerModel {
    /// The name that replies are marked with: which model wrote them, and where.
    pub fn author(&self) -> String {
        author::of(&self.model, &self.address.host())
    }
}

#[cfg(test)]
mod tests {
    use super::super::is_of_server;
    use super::*;

    #[test]
    fn replies_are_marked_with_their_server() {
        let model = ServerModel { address: Address::parse("localhost:8080").unwrap(), model: "gemma-2-9b-it".into() };
        assert_eq!(model.author(), "gemma-2-9b-it at localhost:8080");
        assert!(is_of_server(&model.author()) && !is_of_server("gemma-2-9b-it") && !is_of_server("look at my model"));
    }
}
