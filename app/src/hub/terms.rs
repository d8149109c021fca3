//! The terms that Google's models are under.

#[cfg(not(target_arch = "wasm32"))]
pub use super::accepted_terms::{accept, are_accepted};

/// Where the terms are.
pub const TERMS: &str = "https://ai.google.dev/gemma/terms";
/// Where the uses are that the terms forbid.
pub const FORBIDDEN_USES: &str = "https://ai.google.dev/gemma/prohibited_use_policy";

/// What is shown before the first download of a model under the terms.
pub const SUMMARY: &str = "Gemma is provided under and subject to the Gemma Terms of Use found at \
ai.google.dev/gemma/terms. You may use, change and pass on the models, also commercially, if whoever you give them to gets \
these terms too, and if nobody uses them for what ai.google.dev/gemma/prohibited_use_policy forbids. Using a model means \
accepting the terms.";

/// The file that is kept beside the files of a model, as the terms ask.
pub const NOTICE_FILE: &str = "GEMMA_NOTICE.txt";
/// Its text. The first sentence is the one that the terms prescribe.
pub(crate) const NOTICE: &str = "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms\n\
\n\
Prohibited uses: ai.google.dev/gemma/prohibited_use_policy\n";

/// Whether a model is under the terms, by the licence that its repository names, else by its name.
pub fn is_under_terms(license: Option<&str>, repo: &str) -> bool {
    match license {
        Some("gemma") => true,
        Some("apache-2.0" | "mit") => false,
        // Copies often name another licence, or none.
        _ => repo.to_lowercase().contains("gemma"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_gemma_are_under_its_terms() {
        assert!(is_under_terms(Some("gemma"), "a/b"));
        assert!(is_under_terms(None, "bartowski/gemma-2-2b-it-GGUF"));
        assert!(is_under_terms(Some("other"), "x/Gemma-3"));
        assert!(!is_under_terms(Some("apache-2.0"), "x/gemma-4"));
        assert!(!is_under_terms(None, "x/llama"));
    }
}
