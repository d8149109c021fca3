//! Models that are split over several GGUF files.

use std::path::Path;

use super::{Metadata, bad};
use crate::error::{Error, Result};
use crate::load::bytes::Bytes;
use crate::load::source::ModelFile;

/// The end of a file name such as `gemma-00002-of-00003.gguf`.
pub(in crate::load) struct SplitName {
    stem: String,
    count: usize,
}

impl SplitName {
    /// The name's parts, if it is one of several.
    pub(in crate::load) fn of(path: &Path) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(count) || !digits(number) {
            return None;
        }
        let (number, count): (usize, usize) = (number.parse().ok()?, count.parse().ok()?);
        (1..=count).contains(&number).then(|| Self { stem: stem.to_owned(), count })
    }

    /// What the names of all parts start with.
    pub(in crate::load) fn stem(&self) -> &str {
        &self.stem
    }

    /// The name of a part, counted from 1.
    fn part(&self, number: usize) -> String {
        format!("{}-{number:05}-of-{:05}.gguf", self.stem, self.count)
    }
}

/// Maps the file, or all parts if its name says that it is one of several.
pub(in crate::load) fn map_parts(path: &Path) -> Result<Vec<ModelFile>> {
    let paths = match SplitName::of(path) {
        None => vec![path.to_owned()],
        Some(split) => (1..=split.count).map(|number| path.with_file_name(split.part(number))).collect(),
    };
    paths.into_iter().map(|path| Ok(ModelFile::new(path.clone(), Bytes::map(&path)?))).collect()
}

/// Checks that a file says that it is part `index`, counted from 0, of `count`.
pub(super) fn check(metadata: &Metadata, path: &Path, index: usize, count: usize) -> Result<()> {
    let says_count = metadata.unsigned("split.count")?.unwrap_or(1).max(1);
    if says_count != count as u64 {
        let reason = format!(
            "split.count says that the model has {says_count} parts, but {count} were opened; keep all parts in one folder under their own names (…-00001-of-{says_count:05}.gguf)"
        );
        return Err(bad(path, reason));
    }
    let says_index = metadata.unsigned("split.no")?.unwrap_or(index as u64);
    if says_index != index as u64 {
        return Err(Error::Config {
            path: path.to_owned(),
            field: "split.no".to_owned(),
            reason: format!(
                "it is {says_index}, but the file's name makes it {index}; give the parts their own names again"
            ),
        });
    }
    Ok(())
}
