//! The arguments of `lapidary serve`.

use clap::Args;

use super::{Concurrency, Model, up_to};

#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) model: Model,
    /// The address to listen at; 0.0.0.0 lets other machines in
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// The port; 0 for any that is free
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) port: u16,
    /// The key that clients must send [default: the variable LAPIDARY_API_KEY, which other users cannot see; else no key]
    #[arg(long, value_name = "KEY")]
    pub(crate) api_key: Option<String>,
    /// An origin of web pages that may use the server, such as https://app.example; can be given several times
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub(crate) allow_origin: Vec<String>,
    /// A name of this machine by which clients address it, such as box.lan; can be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,
    /// The most models that are loaded at once. Requests load those of lapidary models by their names, and where there is no room, the
    /// one that was used longest ago is unloaded; 1 for the model of -m alone
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = up_to(64, "must be"))]
    pub(crate) models: usize,
    #[command(flatten)]
    pub(crate) concurrency: Concurrency,
    /// The most requests that wait for the model; further ones are told to try again
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = up_to(10_000, "must be"))]
    pub(crate) queue: usize,
}

fn origin(text: &str) -> Result<String, String> {
    let origin = url::Url::parse(text).ok().map(|url| url.origin());
    match origin.filter(url::Origin::is_tuple).map(|origin| origin.ascii_serialization()) {
        Some(origin) if origin.eq_ignore_ascii_case(text.trim_end_matches('/')) => Ok(origin),
        _ => Err("must be an origin such as https://app.example or http://localhost:3000".into()),
    }
}
