//! Encrypted connections, with certificates made on the spot.

use std::fs;
use std::net::TcpStream;
use std::sync::Arc;

use lapidary_app::hub::{Cache, Client, HubError, HubSettings, Plan, Stop, Token};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::server::{Server, TOKEN, noise};
use crate::transfer::reference;

/// A server for these names, and its certificate in PEM.
fn secure_server(names: &[&str]) -> (Server, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let accept = move |stream: TcpStream| {
        let connection = ServerConnection::new(config.clone()).ok()?;
        Some(Box::new(StreamOwned::new(connection, stream)) as Box<dyn crate::http::Stream>)
    };
    (Server::with("https", Arc::new(accept)), made.cert.pem())
}

#[test]
fn a_trusted_certificate_is_enough_and_an_unknown_one_is_not() {
    let (server, pem) = secure_server(&["127.0.0.1", "localhost"]);
    let content = noise(300_000, 3);
    server.put("someone/gemma-tiny-GGUF", "gemma-tiny-Q4_K_M.gguf", &content, true);
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path().join("cache"));
    let file = folder.path().join("roots.pem");
    fs::write(&file, &pem).unwrap();
    let token = Some(Token::new(TOKEN, "HF_TOKEN").unwrap());
    let settings = HubSettings { certificates: Some(file.clone()), token, ..server.settings(cache.root()) };
    let client = Client::new(settings.clone(), Stop::default()).unwrap();
    let plan = Plan::new(&client, &reference()).unwrap();
    let path = plan.run(&client, &cache, &mut |_| {}).unwrap();
    assert!(fs::read(path).unwrap() == content);
    assert!(server.state().storage.iter().all(|seen| seen.token.is_none()));

    // With the roots that are built in.
    let client = Client::new(HubSettings { certificates: None, ..settings.clone() }, Stop::default()).unwrap();
    let requests = server.state().hub.len();
    let error = Plan::new(&client, &reference()).unwrap_err();
    assert!(matches!(error, HubError::Tls { .. }), "{error}");
    assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
    assert_eq!(server.state().hub.len(), requests, "no request, and so no token, went out");

    fs::write(&file, "not a certificate").unwrap();
    let error = Client::new(settings, Stop::default()).unwrap_err();
    assert!(matches!(error, HubError::Setting { .. }), "{error}");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let (server, pem) = secure_server(&["example.com"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    fs::write(&file, pem).unwrap();
    let settings = HubSettings { certificates: Some(file), ..server.settings(folder.path()) };
    let client = Client::new(settings, Stop::default()).unwrap();
    let error = Plan::new(&client, &reference()).unwrap_err();
    assert!(matches!(error, HubError::Tls { .. }), "{error}");
}

#[test]
fn an_encrypted_hub_does_not_send_to_an_open_address() {
    let (server, pem) = secure_server(&["127.0.0.1"]);
    let open = Server::new();
    server.put("someone/gemma-tiny-GGUF", "gemma-tiny-Q4_K_M.gguf", b"x", true);
    server.faults(|faults| faults.redirect_to = Some(format!("{}/x", open.address)));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    fs::write(&file, pem).unwrap();
    let settings = HubSettings { certificates: Some(file), ..server.settings(folder.path()) };
    let client = Client::new(settings, Stop::default()).unwrap();
    let cache = Cache::new(folder.path());
    let error = Plan::new(&client, &reference()).unwrap().run(&client, &cache, &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::Redirect { .. }), "{error}");
    assert!(open.state().hub.is_empty());
}
