//! `--speculate`: how tokens are guessed ahead.

use std::path::PathBuf;

use clap::Args;
use lapidary_engine::{Engine, Session, Speculation};

use super::args::Model;
use super::failure::Failure;
use super::interrupt::Busy;
use super::load::{beside, open};

#[derive(Args, Clone, Default)]
pub(crate) struct Speculate {
    /// What guesses the next tokens, which the model then computes together, where that is faster: text (what was written before),
    /// a smaller model with the same vocabulary, off, or auto (text, except where rounding could change a reply that is greedy or
    /// has a seed)
    #[arg(long, value_name = "HOW", default_value = "auto")]
    speculate: How,
}

#[derive(Clone, Default)]
enum How {
    #[default]
    Auto,
    Text,
    Off,
    Model(PathBuf),
}

impl From<&str> for How {
    fn from(text: &str) -> Self {
        match text {
            "auto" => Self::Auto,
            "text" => Self::Text,
            "off" => Self::Off,
            model => Self::Model(model.into()),
        }
    }
}

impl Speculate {
    /// A new session of an engine that guesses that way. The smaller model is loaded beside it, with the same options.
    pub(crate) fn session(&self, engine: &Engine, options: &Model, busy: &Busy) -> Result<Session, Failure> {
        let speculation = match &self.speculate {
            How::Off => Speculation::off(),
            How::Auto => Speculation::from_text(),
            How::Text => Speculation::from_text().also_for_repeatable_replies(),
            How::Model(path) => {
                let smaller = beside(engine, open(Some(path))?, options, busy)?;
                busy.wait(Speculation::from_model(&smaller))?.also_for_repeatable_replies()
            }
        };
        let mut session = busy.wait(engine.session())?;
        session.speculate(speculation)?;
        Ok(session)
    }
}
