//! The log-probabilities of a batch's chats as a safetensors file, made from the results once all are there.
//!
//! A row per reply, in the order of the input's lines, and a position per token of the replies:
//!
//! | tensor | shape | holds |
//! |---|---|---|
//! | `lines` | `[replies]`, i64 | the input's line, counted from 1 |
//! | `offsets` | `[replies + 1]`, i64 | reply `r` has the positions from `offsets[r]` to before `offsets[r + 1]` |
//! | `choices` | `[replies]`, i32 | which reply to the line it is, counted from 0 |
//! | `prompt_tokens` | `[replies]`, i32 | the number of the prompt's tokens |
//! | `tokens` | `[positions]`, i32 | the id of the token |
//! | `logprobs` | `[positions]`, f32 | its natural log-probability |
//! | `top_tokens` | `[positions, K]`, i32 | the ids of the most probable tokens, -1 where fewer are known |
//! | `top_logprobs` | `[positions, K]`, f32 | theirs, minus infinity where fewer are known |
//! | `ended` | `[replies]`, bool | whether the last position is the token that ended the reply |
//!
//! A token that cannot be chosen has the log-probability -9999, as in the results.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::{BatchError, is_same_file};
use crate::whole_file::{new_file, replace};

/// A file for log-probabilities, which appears when it is complete.
pub struct ScoresFile {
    path: PathBuf,
}

/// What such a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scored {
    /// Chats' replies with log-probabilities.
    pub replies: usize,
    /// Their tokens, with those that end replies.
    pub positions: usize,
    /// Replies without: completions, and those to requests that wanted none.
    pub without: usize,
}

/// A reply with log-probabilities.
struct Row {
    line: i64,
    choice: usize,
    /// Where its result line begins.
    at: u64,
    positions: usize,
    prompt_tokens: i32,
    ended: bool,
}

#[derive(Deserialize)]
struct ResultLine {
    line: i64,
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    body: Body,
}

#[derive(Deserialize)]
struct Body {
    /// None if the request failed.
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Usage,
}

#[derive(Default, Deserialize)]
struct Usage {
    prompt_tokens: i32,
}

#[derive(Deserialize)]
struct Choice {
    logprobs: Option<Logprobs>,
}

#[derive(Deserialize)]
struct Logprobs {
    /// None in a completion.
    content: Option<Vec<Token>>,
    end: Option<Token>,
}

impl Logprobs {
    /// The tokens of a chat's reply, with the one that ended it.
    fn tokens(self) -> Option<Vec<Token>> {
        let mut tokens = self.content?;
        tokens.extend(self.end);
        Some(tokens)
    }
}

#[derive(Deserialize)]
struct Token {
    id: i32,
    logprob: f32,
    top_logprobs: Vec<Alternative>,
}

#[derive(Deserialize)]
struct Alternative {
    id: i32,
    logprob: f32,
}

impl ScoresFile {
    /// Prepares a file, so that a wrong path is found before the batch runs. A file of that name stays until [`Self::write`]. `others`
    /// are the files of the batch, which it must not replace.
    ///
    /// # Errors
    /// [`BatchError::Output`].
    pub fn open(path: &Path, others: &[&Path]) -> Result<Self, BatchError> {
        let failed = |source| BatchError::Output { path: path.to_owned(), source };
        if path.exists() {
            if !path.is_file() {
                return Err(failed(io::Error::other("it is not a file")));
            }
            if others.iter().any(|other| is_same_file(other, path)) {
                return Err(failed(io::Error::other("the batch needs it for something else")));
            }
        }
        let file = Self { path: path.to_owned() };
        // Only to see that it works. A batch that is killed leaves nothing behind.
        drop(file.temporary().map_err(failed)?);
        Ok(file)
    }

    /// A file in the same folder, which takes the name when it is complete.
    fn temporary(&self) -> io::Result<NamedTempFile> {
        new_file(self.path.parent().unwrap_or(Path::new(".")))
    }

    /// Writes the log-probabilities of all chats in a batch's results. Of the results, one line is in memory at a time. The batch must
    /// have been dropped: on Windows nobody else can read the results before.
    ///
    /// # Errors
    /// [`BatchError::Output`], [`BatchError::Scores`], and [`BatchError::NoScores`] if there are none.
    pub fn write(self, results: &Path) -> Result<Scored, BatchError> {
        let failed = |source| BatchError::Output { path: self.path.clone(), source };
        let input_failed = |source| BatchError::Input { path: results.to_owned(), source };
        let mut input = BufReader::new(File::open(results).map_err(input_failed)?);
        let (mut rows, mut scored, mut width) = (Vec::new(), Scored::default(), 0);
        let (mut at, mut number) = (0, 0);
        while let Some((result, length)) = read(&mut input, number + 1, results)? {
            let prompt_tokens = result.response.body.usage.prompt_tokens;
            for (choice, logprobs) in result.response.body.choices.into_iter().map(|choice| choice.logprobs).enumerate()
            {
                let ended = logprobs.as_ref().is_some_and(|logprobs| logprobs.end.is_some());
                let Some(tokens) = logprobs.and_then(Logprobs::tokens) else {
                    scored.without += 1;
                    continue;
                };
                let positions = tokens.len();
                scored.positions += positions;
                width = tokens.iter().map(|token| token.top_logprobs.len()).fold(width, usize::max);
                rows.push(Row { line: result.line, choice, at, positions, prompt_tokens, ended });
            }
            at += length;
            number += 1;
        }
        scored.replies = rows.len();
        if rows.is_empty() {
            return Err(BatchError::NoScores { path: results.to_owned() });
        }
        rows.sort_by_key(|row| (row.line, row.choice));
        let file = self.temporary().map_err(failed)?;
        let mut tensors = Tensors::begin(&file, &rows, scored.positions, width).map_err(failed)?;
        for row in &rows {
            input.seek(SeekFrom::Start(row.at)).map_err(input_failed)?;
            let result = read(&mut input, 0, results)?.map(|(result, _)| result);
            let choice = result.and_then(|result| result.response.body.choices.into_iter().nth(row.choice));
            let tokens =
                choice.and_then(|choice| choice.logprobs?.tokens()).filter(|tokens| tokens.len() == row.positions);
            let changed = || input_failed(io::Error::other("it was changed meanwhile"));
            tensors.add(&tokens.ok_or_else(changed)?, width).map_err(failed)?;
        }
        tensors.finish().and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        replace(file, &self.path).map_err(failed)?;
        Ok(scored)
    }
}

/// The next result line, and its length in bytes.
fn read(input: &mut impl BufRead, number: u64, path: &Path) -> Result<Option<(ResultLine, u64)>, BatchError> {
    let mut bytes = Vec::new();
    let length =
        input.read_until(b'\n', &mut bytes).map_err(|source| BatchError::Input { path: path.to_owned(), source })?;
    if length == 0 {
        return Ok(None);
    }
    let result = serde_json::from_slice(&bytes).map_err(|source| BatchError::Scores {
        path: path.to_owned(),
        line: number,
        source,
    })?;
    Ok(Some((result, length as u64)))
}

/// The tensors with a position per token, each written at its place in the file.
struct Tensors {
    tokens: BufWriter<File>,
    logprobs: BufWriter<File>,
    top_tokens: BufWriter<File>,
    top_logprobs: BufWriter<File>,
}

impl Tensors {
    /// Writes the header and the tensors with a value per reply.
    fn begin(file: &NamedTempFile, rows: &[Row], positions: usize, width: usize) -> io::Result<Self> {
        let replies = rows.len();
        // The longest values come first, so that all are aligned.
        let list = [
            ("lines", "I64", 8_u64, vec![replies]),
            ("offsets", "I64", 8, vec![replies + 1]),
            ("choices", "I32", 4, vec![replies]),
            ("prompt_tokens", "I32", 4, vec![replies]),
            ("tokens", "I32", 4, vec![positions]),
            ("logprobs", "F32", 4, vec![positions]),
            ("top_tokens", "I32", 4, vec![positions, width]),
            ("top_logprobs", "F32", 4, vec![positions, width]),
            ("ended", "BOOL", 1, vec![replies]),
        ];
        let (mut header, mut end) = (serde_json::Map::new(), 0);
        let begins = list.map(|(name, kind, size, shape)| {
            let begin = end;
            end += size * shape.iter().map(|length| *length as u64).product::<u64>();
            header.insert(name.into(), json!({"dtype": kind, "shape": shape, "data_offsets": [begin, end]}));
            begin
        });
        let mut header = Value::Object(header).to_string();
        // The format requires data aligned to 8 bytes.
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        let data = 8 + header.len() as u64;
        let mut out = BufWriter::new(file.as_file());
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        rows.iter().try_for_each(|row| out.write_all(&row.line.to_le_bytes()))?;
        let mut offset = 0_i64;
        for positions in std::iter::once(0).chain(rows.iter().map(|row| row.positions)) {
            offset += positions as i64;
            out.write_all(&offset.to_le_bytes())?;
        }
        rows.iter().try_for_each(|row| out.write_all(&(row.choice as i32).to_le_bytes()))?;
        rows.iter().try_for_each(|row| out.write_all(&row.prompt_tokens.to_le_bytes()))?;
        let [_, _, _, _, tokens, logprobs, top_tokens, top_logprobs, ended] = begins;
        out.seek(SeekFrom::Start(data + ended))?;
        rows.iter().try_for_each(|row| out.write_all(&[u8::from(row.ended)]))?;
        out.flush()?;
        let at = |begin: u64| {
            let mut file = file.reopen()?;
            file.seek(SeekFrom::Start(data + begin))?;
            Ok::<_, io::Error>(BufWriter::new(file))
        };
        Ok(Self {
            tokens: at(tokens)?,
            logprobs: at(logprobs)?,
            top_tokens: at(top_tokens)?,
            top_logprobs: at(top_logprobs)?,
        })
    }

    /// Adds the positions of the next reply, each with this many alternatives.
    fn add(&mut self, tokens: &[Token], width: usize) -> io::Result<()> {
        for token in tokens {
            self.tokens.write_all(&token.id.to_le_bytes())?;
            self.logprobs.write_all(&token.logprob.to_le_bytes())?;
            let top = token.top_logprobs.iter().map(|top| (top.id, top.logprob));
            for (id, logprob) in top.chain(std::iter::repeat((-1, f32::NEG_INFINITY))).take(width) {
                self.top_tokens.write_all(&id.to_le_bytes())?;
                self.top_logprobs.write_all(&logprob.to_le_bytes())?;
            }
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        for mut tensor in [self.tokens, self.logprobs, self.top_tokens, self.top_logprobs] {
            tensor.flush()?;
        }
        Ok(())
    }
}
