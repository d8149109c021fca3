//! `lapidary login` and `lapidary logout`: the token for the Hugging Face hub.

use std::io::{self, IsTerminal, Read, Write};

use clap::Args;
use lapidary_app::hub::{HubSettings, Stop, Token, TokenSource, log_in, log_out, token_source};
use lapidary_app::secrets::Secrets;

use super::failure::{Failure, sanitized};
use super::interrupt::{Busy, stop_on_interrupt};

/// Bytes of input that are read for a token, which has some forty.
const MAX_INPUT: u64 = 4096;

/// The token comes from standard input: typed without being shown, or piped, as in `lapidary login < FILE`.
#[derive(Args)]
pub(crate) struct Login {}

#[derive(Args)]
pub(crate) struct Logout {}

pub(crate) fn login() -> Result<(), Failure> {
    let settings = HubSettings::without_token()?;
    let text = if io::stdin().is_terminal() {
        eprintln!("Create a token with read access at {}", settings.tokens_page());
        rpassword::prompt_password("Token (it is not shown): ")
    } else {
        let mut text = String::new();
        io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text).map(|_| text)
    };
    let text = text.map_err(|error| Failure::Failed(format!("cannot read the token: {error}")))?;
    let token = Token::new(&text, "standard input")?;
    let secrets = Secrets::of_this_user();
    let busy = Busy::new();
    let stop = Stop::default();
    stop_on_interrupt(stop.clone());
    let endpoint = settings.endpoint.clone();
    let (account, place) = log_in(settings, &secrets, &token, stop)?;
    drop(busy);
    let mut out = io::stdout().lock();
    writeln!(out, "the token of {} is kept in {place}", sanitized(&account))?;
    if let Ok(Some(TokenSource::Variable(name))) = token_source(&endpoint, &secrets) {
        writeln!(out, "{name} is set, and wins over it")?;
    }
    Ok(())
}

pub(crate) fn logout() -> Result<(), Failure> {
    let endpoint = HubSettings::without_token()?.endpoint;
    let secrets = Secrets::of_this_user();
    let forgotten = log_out(&endpoint, &secrets)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", if forgotten { "the token is forgotten" } else { "no token was saved" })?;
    match token_source(&endpoint, &secrets)? {
        Some(TokenSource::Variable(name)) => writeln!(out, "{name} is set, so downloads still use that token")?,
        Some(TokenSource::File(path)) => {
            writeln!(out, "downloads still use the token of Hugging Face's own programs, in {}", path.display())?;
        }
        Some(TokenSource::Saved) | None => {}
    }
    Ok(())
}
