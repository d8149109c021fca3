//! The arguments of `lapidary models`.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub(crate) struct Models {
    /// Also list the models in this folder from now on, such as Ollama's (~/.ollama/models) or LM Studio's (~/.lmstudio/models);
    /// the variable LAPIDARY_MODELS names folders too
    #[arg(long, value_name = "FOLDER")]
    pub(crate) add: Option<PathBuf>,
    /// Do so no more; the folder stays as it is
    #[arg(long, value_name = "FOLDER", conflicts_with = "add")]
    pub(crate) remove: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
