//! The text of PDF files. They come from anywhere, so their unpacked size, their pages and the time are bounded. The
//! library's own extraction follows no nested drawings, in which a file could recurse without end.

use std::io::{self, Read};
use std::iter;
use std::time::Duration;

use flate2::read::DeflateDecoder;
use lopdf::{Document, Object, ObjectId};
use web_time::Instant;

/// The most bytes that the streams of a file may unpack to.
const MAX_UNPACKED: u64 = 256 << 20;
/// The most bytes of a page's contents, packed and unpacked together. The library takes some fifty bytes of memory for each.
const MAX_PAGE: u64 = 8 << 20;
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
    check_filters(bytes)?;
    check_unpacked_size(bytes, start)?;
    let document = Document::load_mem(bytes).map_err(|error| format!("it is not a readable PDF file ({error})"))?;
    if document.is_encrypted() {
        return Err("it is protected by a password".into());
    }
    let pages = document.get_pages();
    let numbers: Vec<u32> = pages.keys().copied().collect();
    let mut text = String::new();
    for numbers in numbers.chunks(PAGES_AT_ONCE) {
        check_time(start)?;
        for number in numbers {
            if !page_fits(&document, pages[number], start)? {
                let most = MAX_PAGE >> 20;
                return Err(format!(
                    "page {number} holds more than {most} MiB; save the other pages as a file and attach that"
                ));
            }
        }
        // A part that cannot be decoded, such as one in an unknown font, is left out.
        for part in document.extract_text_chunks(numbers).into_iter().flatten() {
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

fn check_time(start: Instant) -> Result<(), String> {
    if start.elapsed() > MAX_TIME { Err("reading it takes too long".into()) } else { Ok(()) }
}

/// Refuses streams that are packed in a way whose size [`unpacked`] cannot tell. All names of the file are looked at, because the library
/// unpacks some streams while it loads the file.
fn check_filters(bytes: &[u8]) -> Result<(), String> {
    let mut rest = bytes;
    while let Some(slash) = rest.iter().position(|byte| *byte == b'/') {
        let (first, after) = name(&rest[slash + 1..]);
        let blanks = after.iter().take_while(|byte| is_blank(**byte)).count();
        let next = &after[blanks..];
        let second = next.strip_prefix(b"/").map(|next| name(next).0);
        let is_usual = match (first.as_slice(), second.as_deref()) {
            (b"LZWDecode", _) => false,
            (b"ASCII85Decode", Some(b"FlateDecode")) => true,
            (b"ASCII85Decode" | b"FlateDecode", Some(b"ASCII85Decode" | b"FlateDecode")) => false,
            // A comment may stand before the second one.
            (b"ASCII85Decode" | b"FlateDecode", None) => !next.starts_with(b"%"),
            _ => true,
        };
        if !is_usual {
            return Err("it is packed in an unusual way".into());
        }
        rest = after;
    }
    Ok(())
}

/// The name behind a slash, and what follows it. A `#` and two digits stand for a byte.
fn name(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (mut name, mut rest) = (Vec::new(), bytes);
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'#' {
            let [high, low, after @ ..] = after else { break };
            let (Some(high), Some(low)) = (digit(*high), digit(*low)) else { break };
            name.push((high * 16 + low) as u8);
            rest = after;
        } else if is_blank(byte) || b"()<>[]{}/%".contains(&byte) {
            break;
        } else {
            name.push(byte);
            rest = after;
        }
    }
    (name, rest)
}

fn is_blank(byte: u8) -> bool {
    b" \t\n\r\0\x0c".contains(&byte)
}

/// Unpacks every stream into nothing, before the library unpacks them into memory.
fn check_unpacked_size(bytes: &[u8], start: Instant) -> Result<(), String> {
    let mark = b"stream";
    let (mut left, mut rest) = (MAX_UNPACKED, bytes);
    while let Some(found) = rest.windows(mark.len()).position(|window| window == mark) {
        check_time(start)?;
        let is_end = rest[..found].ends_with(b"end");
        rest = &rest[found + mark.len()..];
        let Some(stream) = next_line(rest).filter(|_| !is_end) else { continue };
        left = left.saturating_sub(unpacked(stream, left));
        if left == 0 {
            return Err(format!("it unpacks to more than {} MiB", MAX_UNPACKED >> 20));
        }
    }
    Ok(())
}

/// What follows the end of a line that holds nothing more but blanks.
fn next_line(rest: &[u8]) -> Option<&[u8]> {
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let rest = &rest[blanks..];
    rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")).or_else(|| rest.strip_prefix(b"\r"))
}

/// Whether the contents of a page are within the bounds. Each counts as often as the page names it.
///
/// # Errors
/// The time is over.
fn page_fits(document: &Document, page: ObjectId, start: Instant) -> Result<bool, String> {
    let mut left = MAX_PAGE;
    for id in document.get_page_contents(page) {
        check_time(start)?;
        let Ok(stream) = document.get_object(id).and_then(Object::as_stream) else { continue };
        left = left.saturating_sub(stream.content.len() as u64 + unpacked(&stream.content, left));
        if left == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The bytes that a stream unpacks to, or `most` if they are more: what is packed by `FlateDecode`, and perhaps written in ASCII85.
fn unpacked(stream: &[u8], most: u64) -> u64 {
    let plain = inflated(stream, most);
    plain + inflated(Written(ascii85(stream)), most.saturating_sub(plain))
}

/// The bytes of packed ones, or `most` if they are more. The two bytes before them do not count: with others than zlib's, the library
/// unpacks the rest all the same.
fn inflated(mut packed: impl Read, most: u64) -> u64 {
    if packed.read_exact(&mut [0; 2]).is_err() {
        return 0;
    }
    let mut stream = DeflateDecoder::new(packed).take(most);
    // What is not packed ends at once. What is damaged ends where it is.
    let _ = io::copy(&mut stream, &mut io::sink());
    stream.get_ref().total_out()
}

/// The bytes that are written in ASCII85, up to the first other character.
fn ascii85(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut digits = text
        .iter()
        .filter(|character| !character.is_ascii_whitespace())
        .map_while(|character| match character {
            // Four zeros.
            b'z' => Some((0, 5)),
            b'!'..=b'u' => Some((u32::from(character - b'!'), 1)),
            _ => None,
        })
        .flat_map(|(digit, count)| iter::repeat_n(digit, count));
    let group = move || {
        let first = digits.next()?;
        // The last group may be short.
        let rest = [(); 4].map(|()| digits.next().unwrap_or(84));
        let number = rest.iter().fold(first, |number, digit| number.wrapping_mul(85).wrapping_add(*digit));
        Some(number.to_be_bytes())
    };
    iter::from_fn(group).flatten()
}

/// Bytes of an iterator, to be read.
struct Written<I>(I);

impl<I: Iterator<Item = u8>> Read for Written<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        for (place, byte) in buffer.iter_mut().zip(&mut self.0) {
            *place = byte;
            read += 1;
        }
        Ok(read)
    }
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

    /// More zeros than are unpacked, packed.
    fn packed_zeros() -> Vec<u8> {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..300 {
            packed.write_all(&zeros).unwrap();
        }
        packed.finish().unwrap()
    }

    fn in_ascii85(bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        for group in bytes.chunks(4) {
            let mut whole = [0; 4];
            whole[..group.len()].copy_from_slice(group);
            let number = u32::from_be_bytes(whole);
            let digits = (0..5).rev().map(|power| b'!' + (number / 85_u32.pow(power) % 85) as u8);
            text.extend(digits.take(group.len() + 1));
        }
        text.extend(b"~>");
        text
    }

    /// The answer to a file with an object appended, which begins with this text.
    fn with_object(text: &str, stream: &[u8]) -> Result<String, String> {
        let mut bytes = file(&[&page("Some text.")]);
        bytes.extend(format!("\n99 0 obj\n{text}").as_bytes());
        bytes.extend(stream);
        pdf_text(&bytes, 1 << 20)
    }

    #[test]
    fn a_file_that_unpacks_to_too_much_is_refused_before_it_is_unpacked() {
        let packed = packed_zeros();
        let is_refused = |text: &str, stream: &[u8]| {
            let reason = with_object(text, stream).unwrap_err();
            assert!(reason.contains("unpacks to more than"), "{text}: {reason}");
        };
        for line_end in ["\n", "\r", " \t\r\n"] {
            is_refused(&format!("<< /Filter /FlateDecode >>\nstream{line_end}"), &packed);
        }
        let other_start = [&b"??"[..], &packed[2..]].concat();
        is_refused("<< /Filter /FlateDecode >>\nstream\n", &other_start);
        is_refused("<< /Filter [/ASCII85Decode /FlateDecode] >>\nstream\n", &in_ascii85(&packed));
    }

    #[test]
    fn text_that_is_packed_and_written_in_ascii85_is_read() {
        let mut document = Document::load_mem(&file(&[&page("Some text.")])).unwrap();
        for object in document.objects.values_mut() {
            let Ok(stream) = object.as_stream_mut() else { continue };
            let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
            packed.write_all(&stream.get_plain_content().unwrap()).unwrap();
            stream.set_content(in_ascii85(&packed.finish().unwrap()));
            let filters = [&b"ASCII85Decode"[..], b"FlateDecode"].map(|name| Object::Name(name.to_vec()));
            stream.dict.set("Filter", filters.to_vec());
        }
        let mut bytes = Vec::new();
        document.save_to(&mut bytes).unwrap();
        assert!(pdf_text(&bytes, 1 << 20).unwrap().contains("Some text."));
        assert!(ascii85(&in_ascii85(b"Some text, z")).eq(*b"Some text, z"));
        assert!(ascii85(b" z!!\n!!!").eq([0; 8]));
    }

    #[test]
    fn a_page_that_names_its_contents_again_and_again_is_refused() {
        let mut document = Document::load_mem(&file(&[&page(&"x".repeat(1000))])).unwrap();
        let id = document.get_pages()[&1];
        let content = document.get_page_contents(id)[0];
        for (times, is_read) in [(5, true), (10_000, false)] {
            document.get_dictionary_mut(id).unwrap().set("Contents", vec![Object::Reference(content); times]);
            let mut bytes = Vec::new();
            document.save_to(&mut bytes).unwrap();
            match pdf_text(&bytes, 1 << 20) {
                Ok(text) => assert!(is_read && text.contains("xxx"), "{times}"),
                Err(reason) => assert!(!is_read && reason.contains("page 1 holds more"), "{times}: {reason}"),
            }
        }
    }

    #[test]
    fn streams_packed_in_unusual_ways_are_refused_before_the_file_is_loaded() {
        for filters in [
            "/LZWDecode",
            "/LZW#44ecode",
            "[ /FlateDecode /FlateDecode ]",
            "[/FlateDecode/#46lateDecode]",
            "[/FlateDecode\n% a comment\n/FlateDecode]",
            "[/FlateDecode /ASCII85Decode]",
            "[/ASCII85Decode /FlateDecode /FlateDecode]",
        ] {
            let reason = with_object(&format!("<< /Type /ObjStm /Filter {filters} >>\nstream\n"), b"").unwrap_err();
            assert!(reason.contains("unusual"), "{filters}: {reason}");
        }
        for filters in [
            "/FlateDecode",
            "[/FlateDecode]",
            "/DCTDecode",
            "[/FlateDecode /DCTDecode]",
            "[/ASCII85Decode /FlateDecode]",
            "[/ASCIIHexDecode /FlateDecode]",
        ] {
            assert_eq!(check_filters(format!("<< /Filter {filters} /Length 7 >>").as_bytes()), Ok(()), "{filters}");
        }
    }
}
