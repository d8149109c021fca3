//! Reads a kernel's source and its imports: flags, weights, and comments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::variants::kernel_flag;

/// What a kernel and its imports declare.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The `@if` flags, without those that stand for a kernel.
    pub(crate) flags: BTreeSet<String>,
    /// Whether it reads weights.
    pub(crate) weights: bool,
    /// Whether every variant multiplies by weights as integers. With the flag `int8` its variants do in any case.
    pub(crate) int8: bool,
    /// The `lib` file that declares `Params`, where the kernel itself does not.
    pub(crate) shared_params: Option<String>,
    /// The comment at the head of the kernel's file.
    pub(crate) head: String,
    /// The comments of constants and bindings by name, and of fields by `Struct.field`.
    pub(crate) comments: BTreeMap<String, String>,
}

impl Sources {
    pub(crate) fn of(root: &Path, kernel: &str, kernels: &[String]) -> Self {
        let mut sources = Self::default();
        let main = root.join(format!("{kernel}.wesl"));
        let mut seen = BTreeSet::new();
        let mut open = vec![main.clone()];
        while let Some(path) = open.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            if path == main {
                sources.head = comment_of(text.lines().take_while(|line| line.starts_with("//")));
            } else if text.contains("struct Params {") {
                let stem = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
                sources.shared_params = Some(stem);
            }
            sources.read_comments(&text);
            for line in text.lines() {
                sources.read_flags(line);
                open.extend(sources.read_import(root, line));
            }
        }
        sources.flags.retain(|flag| kernels.iter().all(|name| *flag != kernel_flag(name)));
        sources
    }

    fn read_flags(&mut self, line: &str) {
        let Some((_, rest)) = line.split_once("@if(") else { return };
        let condition = rest.split(')').next().unwrap_or_default();
        let words = condition.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        self.flags.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
    }

    /// The file that a line imports, if any.
    fn read_import(&mut self, root: &Path, line: &str) -> Option<PathBuf> {
        let (condition, rest) = line.split_once("import package::")?;
        let mut parts: Vec<&str> = rest.trim_end_matches(';').split("::").collect();
        parts.pop();
        if parts == ["weights"] {
            self.weights = true;
            self.int8 |= rest.contains("int8_") && !condition.contains("@if(int8)");
            return None;
        }
        Some(root.join(parts.join("/")).with_extension("wesl"))
    }

    /// Collects the comments directly above declarations.
    fn read_comments(&mut self, text: &str) {
        let mut above: Vec<&str> = Vec::new();
        let mut structure = None;
        for line in text.lines().map(str::trim) {
            if line.starts_with("//") {
                above.push(line);
                continue;
            }
            let declared = match structure {
                Some(name) => line.split_once(':').map(|(field, _)| format!("{name}.{}", field.trim())),
                None => declared_name(line).map(str::to_owned),
            };
            if let Some(name) = declared.filter(|_| !above.is_empty()) {
                self.comments.entry(name).or_insert_with(|| comment_of(above.iter().copied()));
            }
            above.clear();
            if let Some((_, rest)) = line.split_once("struct ") {
                structure = rest.strip_suffix('{').map(str::trim);
            }
            if line.starts_with('}') {
                structure = None;
            }
        }
    }
}

/// The name that a line declares, of a constant or a binding.
fn declared_name(line: &str) -> Option<&str> {
    let rest = match line.split_once("const ") {
        Some((before, rest)) if before.is_empty() || before.ends_with(") ") => rest,
        _ => line.split_once("var<storage").and_then(|(_, rest)| rest.split_once("> ")).map(|(_, rest)| rest)?,
    };
    rest.split([' ', ':']).next()
}

/// The text of comment lines, with indented formulas as paragraphs of code.
fn comment_of<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let text = |line: &str| {
        let text = line.trim_start_matches('/');
        let is_formula = text.starts_with("   ") && text.contains(" = ") && !text.contains(['`', ':']);
        if is_formula { format!("\n`{}`\n", text.trim()) } else { text.trim().to_owned() }
    };
    lines.map(text).collect::<Vec<_>>().join("\n")
}
