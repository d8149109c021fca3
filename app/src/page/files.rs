//! Files of the user's disk that were chosen or dropped, which a page may read until it is closed and of which it knows only the names;
//! and models of the browser's own file system, by their paths.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use lapidary_engine::load::{Bytes, ReadFuture, Source};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File};

use super::opfs::is_stored;
use super::{reason, sandbox};
use crate::chats::{Attachment, exchange};
use crate::worker::{DroppedFile, attachment, attachment_of_pdf, check_size, ending};

/// The largest file that chats are imported from: it is in memory as a whole.
const MAX_IMPORT: u64 = 256 << 20;
/// Bytes of a JSON file that tell whether it is an export.
const START: u64 = 4096;

#[wasm_bindgen(module = "/src/page/files.js")]
extern "C" {
    #[wasm_bindgen(js_name = choose, catch)]
    async fn choose_file(endings: &str) -> Result<JsValue, JsValue>;
    /// Lets the browser download a text as a file.
    pub(crate) fn save(name: &str, text: &str);
}

thread_local! {
    /// The files by the names that stand for paths, in the order in which they came.
    static FILES: RefCell<Vec<(PathBuf, File)>> = const { RefCell::new(Vec::new()) };
}

/// Opens the browser's dialog. Returns the name by which the chosen file is known from now on.
pub(crate) async fn choose(endings: &str) -> Option<PathBuf> {
    let file = choose_file(endings).await.ok()?;
    file.dyn_ref().map(remember)
}

/// Keeps a file. Returns its name, with a number if another file has the same.
pub(crate) fn remember(file: &File) -> PathBuf {
    FILES.with_borrow_mut(|files| {
        let name = file.name();
        let named = |path: &Path| files.iter().find(|(known, _)| known == path).map(|(_, file)| file);
        let same = |known: &File| known.size() == file.size() && known.last_modified() == file.last_modified();
        let mut path = PathBuf::from(&name);
        let mut number = 1;
        while named(&path).is_some_and(|known| !same(known)) {
            number += 1;
            let (stem, end) = name.rsplit_once('.').unwrap_or((&name, ""));
            path = PathBuf::from(format!("{stem} ({number}).{end}").trim_end_matches('.'));
        }
        files.retain(|(known, _)| *known != path);
        files.push((path.clone(), file.clone()));
        path
    })
}

/// Takes models of the browser's own file system in place of those that were known.
pub(super) fn replace_stored(stored: Vec<(PathBuf, File)>) {
    FILES.with_borrow_mut(|files| {
        files.retain(|(path, _)| !is_stored(path));
        files.splice(0..0, stored);
    });
}

/// The file of this name.
pub(crate) fn get(path: &Path) -> Option<File> {
    FILES.with_borrow(|files| files.iter().find(|(known, _)| known == path).map(|(_, file)| file.clone()))
}

/// The names and sizes of the models among the files, the latest first.
pub(crate) fn models() -> Vec<(PathBuf, u64)> {
    let is_model = |path: &Path| ending(path) == "gguf";
    FILES.with_borrow(|files| {
        let models = files.iter().rev().filter(|(path, _)| is_model(path));
        models.map(|(path, file)| (path.clone(), file.size() as u64)).collect()
    })
}

/// Classifies a file; see [`crate::worker::inspect`].
pub(crate) async fn inspect(path: PathBuf) -> DroppedFile {
    match ending(&path).as_str() {
        "gguf" => return DroppedFile::Model(path),
        "safetensors" => {
            let name = path.display();
            let reason =
                format!("{name} cannot be opened on a page: it opens models of one file, which ends in .gguf.");
            return DroppedFile::Unusable(reason);
        }
        "json" => {
            if let Ok(start) = read_start(&path, START).await
                && exchange::begins_as_export(&String::from_utf8_lossy(&start))
            {
                return DroppedFile::Chats(path);
            }
        }
        _ => {}
    }
    match read_attachment(&path).await {
        Ok(Attachment { name, text, .. }) => DroppedFile::Text { name, text },
        Err(reason) => DroppedFile::Unusable(reason),
    }
}

/// Reads a text or PDF file; see [`crate::worker::read_attachment`].
///
/// # Errors
/// Why the file cannot be attached, as a sentence that names it.
pub(crate) async fn read_attachment(path: &Path) -> Result<Attachment, String> {
    let unreadable = |reason| format!("{} cannot be read: {reason}.", path.display());
    let file = known(path).map_err(unreadable)?;
    check_size(path, file.size() as u64)?;
    if ending(path) == "pdf" {
        return attachment_of_pdf(path, sandbox::pdf_text(&file).await);
    }
    attachment(path, read_file(&file).await.map_err(unreadable)?)
}

/// Reads the content of a file with exported chats.
///
/// # Errors
/// The reason, without the name.
pub(crate) async fn read_export(path: &Path) -> Result<String, String> {
    let bytes = read_start(path, MAX_IMPORT + 1).await?;
    if bytes.len() as u64 > MAX_IMPORT {
        return Err("it is larger than 256 MiB, which is too much for a page".into());
    }
    String::from_utf8(bytes).map_err(|_| "it is no text".into())
}

/// The file of this name, or why there is none.
fn known(path: &Path) -> Result<File, String> {
    get(path).ok_or_else(|| "the page may not read it any more; choose it again".to_owned())
}

/// The first bytes of a file, at most `most`.
async fn read_start(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let file = known(path)?;
    read(&file, 0..most.min(file.size() as u64)).await
}

/// All bytes of a file, which is known to be small.
pub(super) async fn read_file(file: &File) -> Result<Vec<u8>, String> {
    read(file, 0..file.size() as u64).await
}

async fn read(blob: &Blob, range: Range<u64>) -> Result<Vec<u8>, String> {
    // Exact: files are far smaller than 2^53 bytes.
    let slice = blob.slice_with_f64_and_f64(range.start as f64, range.end as f64);
    let buffer = JsFuture::from(slice.map_err(|error| reason(&error))?.array_buffer()).await;
    Ok(js_sys::Uint8Array::new(&buffer.map_err(|error| reason(&error))?).to_vec())
}

/// A file that the engine reads range by range, so that only what is being loaded is in memory.
pub(super) struct FileSource(pub(super) File);

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.0.size() as u64
    }

    fn read(&self, range: Range<u64>) -> ReadFuture<'_> {
        Box::pin(async move {
            let bytes = read(&self.0, range).await;
            let failed =
                |reason| io::Error::other(format!("{reason}; if the file was changed or moved, choose it again"));
            bytes.map(Bytes::from).map_err(failed)
        })
    }
}
