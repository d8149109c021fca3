//! In place of `worker::pdf`: the page reads no PDF files. Elsewhere a panic of the library is caught, which in a browser would end
//! the page.

/// Refuses every file.
///
/// # Errors
/// Always: the reason, as the end of a sentence.
pub(super) fn pdf_text(_: &[u8], _most: usize) -> Result<String, String> {
    Err("the page cannot read PDF files; attach the text".into())
}
