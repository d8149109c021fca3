//! Who gets what: tokens, gates, and refusals that say what to do.

use lapidary_app::hub::{Cache, Client, HubError, HubSettings, Plan, Reference, Stop, plan_first};

use crate::server::{Server, TOKEN};
use crate::transfer::{reference, with_file};

/// The error of a download with or without a token.
fn refused(server: &Server, reference: &Reference, token: Option<&str>) -> HubError {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let client = server.client(&cache, token);
    let done = Plan::new(&client, reference).and_then(|plan| plan.run(&client, &cache, &mut |_| {}));
    done.expect_err("it is refused")
}

fn says(error: &HubError, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    assert!(!text.contains(TOKEN), "{text}");
}

#[test]
fn the_token_goes_to_the_hub_and_never_to_another_origin() {
    let (server, content) = with_file(10_000);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let client = server.client(&cache, Some(TOKEN));
    let plan = Plan::new(&client, &reference()).unwrap();
    let path = plan.run(&client, &cache, &mut |_| {}).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content);
    let state = server.state();
    assert!(state.hub.len() >= 2 && state.hub.iter().all(|seen| seen.token.is_some()));
    assert!(!state.storage.is_empty() && state.storage.iter().all(|seen| seen.token.is_none()), "{:?}", state.storage);
}

#[test]
fn a_token_that_stayed_behind_does_not_come_back() {
    let (server, _) = with_file(10_000);
    let other = Server::new();
    other.put("someone/gemma-tiny-GGUF", "gemma-tiny-Q4_K_M.gguf", b"other", true);
    // The hub sends to another hub, which sends back to the first.
    let file = "someone/gemma-tiny-GGUF/resolve/main/gemma-tiny-Q4_K_M.gguf";
    server.faults(|faults| faults.redirect_to = Some(format!("{}/{file}", other.address)));
    other.faults(|faults| faults.redirect_to = Some(format!("{}/someone/nothing/resolve/main/x", server.address)));
    let error = refused(&server, &reference(), Some(TOKEN));
    assert!(other.state().hub.iter().all(|seen| seen.token.is_none()));
    let state = server.state();
    let last = state.hub.last().unwrap();
    assert!(last.path.contains("someone/nothing") && last.token.is_none(), "{last:?} {error}");
}

#[test]
fn redirects_end() {
    let (server, _) = with_file(10_000);
    let here = format!("{}/someone/gemma-tiny-GGUF/resolve/main/gemma-tiny-Q4_K_M.gguf", server.address);
    server.faults(|faults| faults.redirect_to = Some(here));
    let error = refused(&server, &reference(), None);
    assert!(matches!(error, HubError::Redirect { .. }), "{error}");
    for target in ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://"] {
        server.faults(|faults| faults.redirect_to = Some(target.to_owned()));
        assert!(matches!(refused(&server, &reference(), None), HubError::Redirect { .. }), "{target}");
    }
}

#[test]
fn a_gate_says_how_to_open_it() {
    let (server, _) = with_file(10_000);
    server.state().repos.get_mut("someone/gemma-tiny-GGUF").unwrap().gated = true;
    let error = refused(&server, &reference(), None);
    says(&error, &["accept", "/someone/gemma-tiny-GGUF", "/settings/tokens", "HF_TOKEN"]);
    assert!(matches!(error, HubError::GatedWithoutToken { .. }));
    let error = refused(&server, &reference(), Some("hf_of_somebody_else"));
    says(&error, &["has no access", "/someone/gemma-tiny-GGUF"]);
    assert!(matches!(error, HubError::GatedForAccount { .. }));
    let error = refused(&server, &reference(), Some("hf_wrong"));
    says(&error, &["does not accept the token from HF_TOKEN", "/settings/tokens"]);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let client = server.client(&cache, Some(TOKEN));
    Plan::new(&client, &reference()).unwrap().run(&client, &cache, &mut |_| {}).unwrap();
}

#[test]
fn a_source_without_a_gate_is_taken_instead() {
    let (server, content) = with_file(10_000);
    server.put("google/gemma-tiny", "gemma-tiny-Q4_K_M.gguf", b"gated", true);
    server.state().repos.get_mut("google/gemma-tiny").unwrap().gated = true;
    let sources = ["nobody/gone", "google/gemma-tiny", "someone/gemma-tiny-GGUF"].map(|repo| repo.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let client = server.client(&cache, None);
    let plan = plan_first(&client, &sources).unwrap();
    assert_eq!(plan.total(), content.len() as u64);
    let error = plan_first(&client, &sources[..2]).unwrap_err();
    assert!(matches!(error, HubError::RepoNotFound { .. }), "{error}");
}

#[test]
fn what_is_not_there_is_named() {
    let (server, _) = with_file(10_000);
    server.state().repos.entry("someone/secret".into()).or_default().private = true;
    let refused = |text: &str, token| refused(&server, &text.parse().unwrap(), token);
    says(&refused("someone/none", None), &["no repository someone/none", "HF_TOKEN"]);
    says(&refused("someone/secret", None), &["no repository someone/secret"]);
    says(&refused("someone/none", Some(TOKEN)), &["no repository someone/none", "spelling"]);
    says(&refused("someone/gemma-tiny-GGUF@v9", None), &["no revision v9"]);
    says(&refused("someone/gemma-tiny-GGUF:q2_k", None), &["no file q2_k", "gemma-tiny-Q4_K_M.gguf"]);
    server.put("someone/empty", "README.md", b"", false);
    says(&refused("someone/empty", None), &["nothing to load"]);
    server.faults(|faults| faults.broken_list = true);
    says(&refused("someone/gemma-tiny-GGUF", None), &["makes no sense", "HF_ENDPOINT"]);
}

#[test]
fn an_unreachable_hub_and_an_offline_machine_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new();
    // A port on which nobody listens.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = HubSettings {
        endpoint: format!("http://{closed}").parse().unwrap(),
        attempts: 2,
        ..server.settings(folder.path())
    };
    let client = Client::new(settings.clone(), Stop::default()).unwrap();
    says(&Plan::new(&client, &reference()).unwrap_err(), &["cannot reach 127.0.0.1", "HTTPS_PROXY"]);
    let client = Client::new(HubSettings { offline: true, ..settings }, Stop::default()).unwrap();
    says(&Plan::new(&client, &reference()).unwrap_err(), &["HF_HUB_OFFLINE"]);
}

#[test]
fn search_finds_models_by_a_part_of_their_name() {
    let (server, _) = with_file(10_000);
    server.state().repos.get_mut("someone/gemma-tiny-GGUF").unwrap().tags = vec!["gguf".into()];
    server.put("other/llama", "x.gguf", b"", true);
    let folder = tempfile::tempdir().unwrap();
    let found = server.client(&Cache::new(folder.path()), None).search("gemma", 10).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].repo.to_string(), "someone/gemma-tiny-GGUF");
    assert!(found[0].gguf && !found[0].safetensors && !found[0].gated);
}
