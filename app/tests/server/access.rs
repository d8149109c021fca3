//! Keys, hosts and origins.

use crate::client::send;
use crate::{Running, options, question};
use lapidary_app::server::Options;

#[test]
fn a_key_is_needed_where_one_is_set() {
    let server = Running::with(Options { api_key: Some("secret".into()), ..options() });
    let with = |key: &str| send(server.address, "GET", "/v1/models", &[("Authorization", key)], b"");
    assert_eq!(with("Bearer secret").status, 200);
    with("Bearer wrong").is_error(401, "invalid_api_key");
    server.post("/v1/chat/completions", &question("Hello")).is_error(401, "invalid_api_key");
    server.get("/metrics").is_error(401, "invalid_api_key");
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn names_that_a_web_page_points_to_this_machine_are_refused() {
    let server = Running::with(Options { allowed_hosts: vec!["box.lan".into()], ..options() });
    let with = |host: &str| send(server.address, "GET", "/v1/models", &[("Host", host)], b"");
    with("evil.example").is_error(403, "unknown_host");
    with("evil.example:8080").is_error(403, "unknown_host");
    assert_eq!(with("box.lan:8080").status, 200);
    assert_eq!(with(&server.address.to_string()).status, 200);
}

#[test]
fn web_pages_may_ask_only_if_their_origin_is_allowed() {
    let page = "https://app.example";
    let closed = Running::new();
    let ask = |server: &Running, method: &str, origin: &str| {
        let headers = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        send(server.address, method, "/v1/models", &headers, b"")
    };
    ask(&closed, "GET", page).is_error(403, "unknown_origin");
    ask(&closed, "OPTIONS", page).is_error(403, "unknown_origin");
    let open =
        Running::with(Options { allowed_origins: vec![page.into()], api_key: Some("secret".into()), ..options() });
    let preflight = ask(&open, "OPTIONS", page);
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some(page));
    // Refusals can be read by the page too.
    let refused = ask(&open, "GET", page);
    refused.is_error(401, "invalid_api_key");
    assert_eq!(refused.header("access-control-allow-origin"), Some(page));
    ask(&open, "GET", "https://evil.example").is_error(403, "unknown_origin");
}
