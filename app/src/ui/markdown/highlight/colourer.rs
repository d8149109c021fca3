//! Follows the grammars of languages.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use syntect::highlighting::{HighlightIterator, HighlightState, Highlighter, Theme};
use syntect::parsing::{ParseState, ScopeStack, SyntaxReference, SyntaxSet};
use web_time::Instant;

use super::super::theme::{self, Class};
use super::{Answer, MAX_BLOCKS, Request};

/// A grammar that takes longer for one line is not used further. The first lines also compile its expressions, which takes a busy
/// machine a while.
const MAX_LINE_TIME: Duration = Duration::from_secs(2);
/// The most bytes that are coloured before a result is shown.
const STEP_BYTES: usize = 8 << 10;
/// The longest line that is coloured, in bytes.
const MAX_LINE_BYTES: usize = 2000;
/// The state after the code that was coloured.
struct Progress {
    language: String,
    /// The complete lines that were coloured.
    code: String,
    /// The grammar's state after them. None if no grammar can be used.
    grammar: Option<(ParseState, HighlightState)>,
    last_used: u64,
}

/// Colours code by grammars.
pub(crate) struct Colourer {
    syntaxes: SyntaxSet,
    theme: Theme,
    progress: HashMap<egui::Id, Progress>,
    clock: u64,
}

impl Colourer {
    /// Colours by these grammars.
    pub(crate) fn new(syntaxes: SyntaxSet) -> Self {
        Self { syntaxes, theme: theme::classes(), progress: HashMap::new(), clock: 0 }
    }

    /// The grammar for the name of a language.
    fn syntax(&self, language: &str) -> Option<&SyntaxReference> {
        let lower = language.to_lowercase();
        let token = match lower.as_str() {
            "console" | "shell" | "shellsession" | "zsh" | "terminal" => "bash",
            "golang" => "go",
            "c#" | "csharp" => "cs",
            "f#" | "fsharp" => "fs",
            "objc" | "objective-c" => "m",
            "typescript" => "ts",
            "jsonc" | "json5" => "json",
            "jsx" | "javascriptreact" => "tsx",
            "fortran" => "f90",
            // Has no grammar of its own, and has strings, variables and comments in common with this one.
            "powershell" | "pwsh" | "ps1" => "bash",
            "wgsl" | "hlsl" => "glsl",
            "docker" => "dockerfile",
            "make" => "makefile",
            "viml" | "vimscript" => "vim",
            "plaintext" | "text" | "plain" | "txt" => return None,
            other => other,
        };
        self.syntaxes.find_syntax_by_token(token)
    }

    /// Colours some more of the code.
    pub(crate) fn answer(&mut self, request: &Request) -> Answer {
        self.clock += 1;
        let fits = |progress: &Progress| {
            let known = progress.code.len() <= request.known;
            known && progress.language == request.language && request.code.starts_with(&progress.code)
        };
        let mut progress =
            self.progress.remove(&request.id).filter(fits).unwrap_or_else(|| self.begin(&request.language));
        progress.last_used = self.clock;
        let from = progress.code.len();
        let (mut code, mut spans) = (String::new(), Vec::new());
        let highlighter = Highlighter::new(&self.theme);
        for line in request.code[from..].split_inclusive('\n') {
            if code.len() > STEP_BYTES {
                break;
            }
            // A last line without a line break may still grow, so the grammar stays before it.
            let complete = line.ends_with('\n');
            let mut grammar = if complete { progress.grammar.take() } else { progress.grammar.clone() };
            if line.len() <= MAX_LINE_BYTES
                && let Some(state) = &mut grammar
            {
                let begun = Instant::now();
                let start = from + code.len();
                // The grammars come from many authors. A panic in one must not end the thread.
                let coloured =
                    catch_unwind(AssertUnwindSafe(|| colour_line(&self.syntaxes, &highlighter, state, line, start)));
                match coloured {
                    Ok(Some(line_spans)) if begun.elapsed() < MAX_LINE_TIME => spans.extend(line_spans),
                    _ => grammar = None,
                }
            }
            code.push_str(line);
            let end = from + code.len();
            if spans.last().is_none_or(|(last, _)| *last < end) {
                spans.push((end, Class::Plain));
            }
            if complete {
                progress.code.push_str(line);
                progress.grammar = grammar;
            }
        }
        self.progress.insert(request.id, progress);
        if self.progress.len() > MAX_BLOCKS {
            let oldest = self.progress.iter().min_by_key(|(_, progress)| progress.last_used).map(|(id, _)| *id);
            oldest.map(|id| self.progress.remove(&id));
        }
        Answer { id: request.id, language: request.language.clone(), from, code, spans }
    }

    fn begin(&self, language: &str) -> Progress {
        let state =
            |syntax| (ParseState::new(syntax), HighlightState::new(&Highlighter::new(&self.theme), ScopeStack::new()));
        Progress {
            language: language.to_owned(),
            code: String::new(),
            grammar: self.syntax(language).map(state),
            last_used: 0,
        }
    }
}

fn colour_line(
    syntaxes: &SyntaxSet,
    highlighter: &Highlighter<'_>,
    (parse, state): &mut (ParseState, HighlightState),
    line: &str,
    start: usize,
) -> Option<Vec<(usize, Class)>> {
    let changes = parse.parse_line(line, syntaxes).ok()?;
    let mut spans: Vec<(usize, Class)> = Vec::new();
    let mut end = start;
    for (style, text) in HighlightIterator::new(state, &changes, line, highlighter) {
        end += text.len();
        let class = theme::class_of(style);
        match spans.last_mut() {
            Some((last_end, last)) if *last == class => *last_end = end,
            _ => spans.push((end, class)),
        }
    }
    Some(spans)
}

#[cfg(test)]
mod tests {
    use super::super::Coloured;
    use super::*;

    /// Colours code as far as it is not coloured yet, and returns its parts.
    fn grow(colourer: &mut Colourer, known: &mut Coloured, language: &str, code: &str) -> Vec<(String, Class)> {
        while known.code.len() < code.len() {
            let id = egui::Id::NULL;
            let request = Request { id, language: language.into(), code: code.into(), known: known.code.len() };
            let answer = colourer.answer(&request);
            assert!(answer.from + answer.code.len() > known.code.len(), "no progress");
            known.extend(answer);
        }
        let mut start = 0;
        let mut texts = Vec::new();
        for (end, class) in &known.spans {
            texts.push((code[start..*end].to_owned(), *class));
            start = *end;
        }
        assert_eq!(start, code.len(), "the end has no colour");
        texts
    }

    fn coloured(colourer: &mut Colourer, language: &str, code: &str) -> Vec<(String, Class)> {
        grow(colourer, &mut Coloured::default(), language, code)
    }

    #[test]
    fn every_common_language_has_a_grammar() {
        let colourer = Colourer::new(two_face::syntax::extra_newlines());
        let mut missing = Vec::new();
        for language in [
            "rust",
            "rs",
            "python",
            "py",
            "javascript",
            "js",
            "jsx",
            "typescript",
            "ts",
            "tsx",
            "html",
            "css",
            "scss",
            "go",
            "golang",
            "java",
            "c",
            "cpp",
            "c++",
            "h",
            "csharp",
            "cs",
            "c#",
            "kotlin",
            "swift",
            "ruby",
            "rb",
            "php",
            "perl",
            "lua",
            "r",
            "julia",
            "haskell",
            "scala",
            "elixir",
            "erlang",
            "clojure",
            "ocaml",
            "dart",
            "sql",
            "bash",
            "sh",
            "shell",
            "console",
            "zsh",
            "fish",
            "powershell",
            "dockerfile",
            "makefile",
            "cmake",
            "json",
            "yaml",
            "yml",
            "toml",
            "ini",
            "xml",
            "markdown",
            "md",
            "latex",
            "tex",
            "diff",
            "graphql",
            "vue",
            "svelte",
            "zig",
            "nix",
            "glsl",
            "wgsl",
            "matlab",
            "groovy",
            "objective-c",
            "fsharp",
            "nim",
            "vim",
            "terraform",
            "hcl",
            "protobuf",
            "nginx",
            "awk",
            "csv",
            "fortran",
            "pascal",
            "asm",
            "verilog",
            "solidity",
            "lisp",
        ] {
            if colourer.syntax(language).is_none() {
                missing.push(language);
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
        assert!(colourer.syntax("text").is_none() && colourer.syntax("nosuch").is_none());
    }

    #[test]
    fn code_has_the_classes_that_a_reader_expects() {
        let code = "// say\nfn main() {\n    let s: String = \"hi\".into(); // 5\n    f(42)\n}\n";
        let spans = coloured(&mut Colourer::new(two_face::syntax::extra_newlines()), "rust", code);
        let class = |text: &str| spans.iter().find(|(span, _)| span.contains(text)).unwrap().1;
        for (text, expected) in [
            ("// say", Class::Comment),
            ("fn", Class::Keyword),
            ("main", Class::Function),
            ("hi", Class::String),
            ("42", Class::Number),
        ] {
            assert_eq!(class(text), expected, "{text} in {spans:?}");
        }
    }

    #[test]
    fn growing_code_gets_the_colours_of_the_whole() {
        let code = "/* a\n b */ let x = \"é\";\nfn f() -> u8 { 1 }\n".repeat(3);
        let (mut colourer, mut known) = (Colourer::new(two_face::syntax::extra_newlines()), Coloured::default());
        for end in (1..code.len()).filter(|end| code.is_char_boundary(*end)) {
            grow(&mut colourer, &mut known, "rust", &code[..end]);
        }
        let whole = coloured(&mut Colourer::new(two_face::syntax::extra_newlines()), "rust", &code);
        assert_eq!(grow(&mut colourer, &mut known, "rust", &code), whole);
        // Colours that were forgotten are found again.
        assert_eq!(coloured(&mut colourer, "rust", &code), whole);
    }

    #[test]
    fn a_huge_line_is_not_coloured_and_takes_no_time() {
        let code = format!("let a = 1;\n{}\nlet b = 2;\n", "(".repeat(1 << 20));
        let begun = Instant::now();
        let spans = coloured(&mut Colourer::new(two_face::syntax::extra_newlines()), "rust", &code);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(spans.iter().filter(|(text, _)| text.contains("((((")).count(), 1);
    }
}
