//! The text of PDF files. They come from anywhere, so their unpacked size, their pages and the time are bounded. The
//! library's own extraction follows no nested drawings, in which a file could recurse without end.

use std::io::Read;
use std::time::Duration;

use flate2::read::ZlibDecoder;
use lopdf::{Document, Object};
use web_time::Instant;

/// The most bytes that the streams of a file may unpack to.
const MAX_UNPACKED: u64 = 256 << 20;
/// Reading stops after this time.
const MAX_TIME: Duration = Duration::from_secs(30);
/// Pages that are read between two looks at the clock.
const PAGES_AT_ONCE: usize = 16;

/// The text of a PDF file, at most `most` bytes of it.
///
/// # Errors
/// Why it cannot be read, as the end of a sentence.
pub(super) fn pdf_text(bytes: &[u8], most: usize) -> Result<String, String> {
    let start = Instant::now();
    check_unpacked_size(bytes)?;
    let document = Document::load_mem(bytes).map_err(|error| format!("it is not a readable PDF file ({error})"))?;
    if document.is_encrypted() {
        return Err("it is protected by a password".into());
    }
    check_filters(&document)?;
    let pages: Vec<u32> = document.get_pages().into_keys().collect();
    let mut text = String::new();
    for pages in pages.chunks(PAGES_AT_ONCE) {
        if start.elapsed() > MAX_TIME {
            return Err("reading it takes too long".into());
        }
        // A part that cannot be decoded, such as one in an unknown font, is left out.
        for part in document.extract_text_chunks(pages).into_iter().flatten() {
            text.push_str(&part);
        }
        if text.len() > most {
            return Err(format!("its text is longer than {} MiB", most >> 20));
        }
    }
    if text.trim().is_empty() {
        return Err("it has no text; scanned pages are pictures, which Gemma's text models cannot read".into());
    }
    Ok(text)
}

/// Unpacks every stream into nothing, before the library unpacks them into memory.
fn check_unpacked_size(bytes: &[u8]) -> Result<(), String> {
    let mark = b"stream";
    let (mut left, mut at) = (MAX_UNPACKED, 0);
    while let Some(found) = bytes[at..].windows(mark.len()).position(|window| window == mark) {
        at += found + mark.len();
        let rest = &bytes[at..];
        let line_end = rest.iter().take(2).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let mut stream = ZlibDecoder::new(&rest[line_end..]).take(left);
        // What is no such stream ends at once. What is damaged ends where it is.
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            left = left.saturating_sub(read as u64);
        }
        if left == 0 {
            return Err(format!("it unpacks to more than {} MiB", MAX_UNPACKED >> 20));
        }
    }
    Ok(())
}

/// Refuses streams that are packed in a way whose size [`check_unpacked_size`] cannot tell.
fn check_filters(document: &Document) -> Result<(), String> {
    let streams = document.objects.values().filter_map(|object| match object {
        Object::Stream(stream) => Some(stream),
        _ => None,
    });
    for stream in streams {
        let Ok(filters) = stream.filters() else { continue };
        let packed = filters.iter().filter(|filter| matches!(**filter, b"FlateDecode" | b"LZWDecode")).count();
        if packed > 1 || filters.contains(&&b"LZWDecode"[..]) {
            return Err("it is packed in an unusual way".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use lopdf::{Stream, dictionary};

    use super::*;

    /// A file of pages with these contents.
    fn file(pages: &[&str]) -> Vec<u8> {
        let mut document = Document::with_version("1.5");
        let tree = document.new_object_id();
        let font = document.add_object(dictionary! {
            "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier", "Encoding" => "WinAnsiEncoding",
        });
        let resources = document.add_object(dictionary! { "Font" => dictionary! { "F1" => font } });
        let mut kids: Vec<Object> = Vec::new();
        for page in pages {
            let mut content = Stream::new(dictionary! {}, page.as_bytes().to_vec());
            content.compress().unwrap();
            let content = document.add_object(content);
            let page = dictionary! {
                "Type" => "Page", "Parent" => tree, "Contents" => content, "Resources" => resources,
                "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
            };
            kids.push(document.add_object(page).into());
        }
        let count = kids.len() as i64;
        document.objects.insert(tree, dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => count }.into());
        let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
        document.trailer.set("Root", catalog);
        let mut bytes = Vec::new();
        document.save_to(&mut bytes).unwrap();
        bytes
    }

    fn page(text: &str) -> String {
        format!("BT /F1 12 Tf 72 720 Td ({text}) Tj ET")
    }

    #[test]
    fn the_text_of_all_pages_is_read() {
        let pages: Vec<String> = (0..40).map(|number| page(&format!("This is page {number}."))).collect();
        let bytes = file(&pages.iter().map(String::as_str).collect::<Vec<_>>());
        let text = pdf_text(&bytes, 1 << 20).unwrap();
        assert!((0..40).all(|number| text.contains(&format!("This is page {number}."))), "{text}");
        assert!(pdf_text(&bytes, 20).unwrap_err().contains("longer than"));
    }

    #[test]
    fn unreadable_files_are_refused_with_a_reason() {
        assert!(pdf_text(b"this is no PDF", 1 << 20).unwrap_err().contains("not a readable PDF"));
        assert!(pdf_text(&file(&[""]), 1 << 20).unwrap_err().contains("no text"));
        let whole = file(&[&page("Some text.")]);
        for end in (0..whole.len()).step_by(7) {
            // Only that it returns.
            let _ = pdf_text(&whole[..end], 1 << 20);
        }
    }

    #[test]
    fn a_file_that_unpacks_to_too_much_is_refused_before_it_is_unpacked() {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..300 {
            packed.write_all(&zeros).unwrap();
        }
        let mut bytes = file(&[&page("Some text.")]);
        bytes.extend(b"\n99 0 obj\n<< /Filter /FlateDecode >>\nstream\n");
        bytes.extend(packed.finish().unwrap());
        assert!(pdf_text(&bytes, 1 << 20).unwrap_err().contains("unpacks to more than"));
    }

    #[test]
    fn streams_packed_twice_are_refused() {
        let mut document = Document::load_mem(&file(&[&page("Some text.")])).unwrap();
        document.add_object(Stream::new(
            dictionary! { "Filter" => vec![Object::Name(b"FlateDecode".to_vec()), Object::Name(b"FlateDecode".to_vec())] },
            Vec::new(),
        ));
        let mut bytes = Vec::new();
        document.save_to(&mut bytes).unwrap();
        assert!(pdf_text(&bytes, 1 << 20).unwrap_err().contains("unusual"));
    }
}
