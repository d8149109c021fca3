//! Models that are loaded when a request names them, and unloaded where there is no room.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Answer, begin, send};
use crate::process::{KEY, Process, lapidary, start_as};
use crate::{endless, with};

const CHAT: &str = "/v1/chat/completions";

/// A cache of the hub with models, each the guide in a weight format, and one file that is no model.
fn cache() -> TempDir {
    let cache = tempfile::tempdir().unwrap();
    let file = |name: &str| -> PathBuf {
        let folder = cache.path().join(format!("models--test--{name}/snapshots/abc"));
        std::fs::create_dir_all(&folder).unwrap();
        folder.join(format!("{name}.gguf"))
    };
    for format in ["q8_0", "q4_0"] {
        let path = file(format);
        let quantized = lapidary().args(["quantize", "guide", "--weights", format, "-o"]).arg(path).output().unwrap();
        assert!(quantized.status.success(), "{quantized:?}");
    }
    std::fs::write(file("broken"), "GGUF").unwrap();
    cache
}

struct Server(Process);

impl Server {
    fn start(cache: &Path, models: &str) -> Self {
        let mut command = lapidary();
        command.env("HF_HUB_CACHE", cache);
        Self(start_as(command, &["--api-key", "secret", "--models", models]))
    }

    /// Asks a model, or the first one.
    fn ask(&self, model: Option<&str>) -> Answer {
        let mut body = json!({"messages": [{"role": "user", "content": "What is RMSNorm?"}]});
        if let Some(model) = model {
            body["model"] = model.into();
        }
        send(self.0.address, "POST", CHAT, &[KEY], body.to_string().as_bytes())
    }

    fn get(&self, path: &str) -> Answer {
        send(self.0.address, "GET", path, &[KEY], b"")
    }

    /// The names of the models, and whether each is loaded.
    fn models(&self) -> Vec<(String, bool)> {
        let list = self.get("/v1/models").json();
        let one = |model: &Value| (model["id"].as_str().unwrap().to_owned(), model["loaded"].as_bool().unwrap());
        let mut models: Vec<_> = list["data"].as_array().unwrap().iter().map(one).collect();
        models.sort();
        models
    }
}

const Q8_0: &str = "test/q8_0:q8_0.gguf";
const Q4_0: &str = "test/q4_0:q4_0.gguf";

fn listed(guide: bool, q4_0: bool, q8_0: bool) -> Vec<(String, bool)> {
    [("guide", guide), (Q4_0, q4_0), (Q8_0, q8_0)].map(|(name, loaded)| (name.to_owned(), loaded)).to_vec()
}

#[test]
fn requests_load_models_and_the_one_used_longest_ago_gives_way() {
    let cache = cache();
    let server = Server::start(cache.path(), "2");
    assert_eq!(server.models(), listed(true, false, false));
    let answer = server.ask(Some(Q8_0)).json();
    assert_eq!(answer["model"], Q8_0);
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().len() > 20, "{answer}");
    assert_eq!(server.models(), listed(true, false, true));
    // The guide was used before the other.
    assert_eq!(server.ask(Some(Q4_0)).json()["model"], Q4_0);
    assert_eq!(server.models(), listed(false, true, true));
    // A request that names no model is for the first one, which is loaded again.
    assert_eq!(server.ask(None).json()["model"], "guide");
    assert_eq!(server.models(), listed(true, true, false));
    let described = server.get(&format!("/v1/models/{Q8_0}")).json();
    assert_eq!((&described["id"], &described["loaded"]), (&json!(Q8_0), &json!(false)));
    // What cannot be loaded disturbs nothing.
    for unknown in ["gpt-4", "test/broken:broken.gguf", "../../etc/passwd", ""] {
        server.ask(Some(unknown)).is_error(404, "model_not_found");
    }
    assert_eq!(server.models(), listed(true, true, false));
}

#[test]
fn a_model_in_use_is_not_unloaded() {
    let cache = cache();
    let server = Server::start(cache.path(), "2");
    let use_of = |model: &str| {
        let body = with(endless(), json!({"model": model})).to_string();
        begin(server.0.address, "/v1/completions", &[KEY], body.as_bytes(), true)
    };
    let streams = [use_of("guide"), use_of(Q8_0)];
    let refused = server.ask(Some(Q4_0));
    refused.is_error(503, "no_room");
    assert!(refused.header("retry-after").is_some());
    // Both at once, and others of the same model beside them.
    assert_eq!(server.ask(Some(Q8_0)).status, 200);
    drop(streams);
    // As soon as the server sees that a client is gone, its model can go.
    let answers = std::iter::repeat_with(|| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        server.ask(Some(Q4_0))
    });
    assert!(answers.take(100).any(|answer| answer.status == 200));
}

#[test]
fn one_model_alone_is_no_library() {
    let cache = cache();
    let server = Server::start(cache.path(), "1");
    assert_eq!(server.models(), [("guide".to_owned(), true)]);
    server.ask(Some(Q8_0)).is_error(404, "model_not_found");
}
