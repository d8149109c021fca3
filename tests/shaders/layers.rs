//! Imports within a crate make no circle, and follow the rules of the README.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The layers of the engine, from the bottom. A file imports from its own layer and from those below.
const ENGINE_LAYERS: &[&[&str]] = &[
    &["error", "random", "threads"],
    &["config"],
    &["gpu"],
    &["quant"],
    &["ops"],
    &["load", "tokenizer"],
    &["model"],
    &["leases", "pace", "sampling", "stop_strings", "template"],
    &["check"],
    &["tune"],
    &["options"],
    &["engine"],
    &["sequence"],
    &["plans"],
    &["runner"],
    &["speculation"],
    &["outcome", "prompt_logits"],
    &["scheduler"],
    &["generation"],
    &["session"],
    &["export", "measure", "model_check", "text"],
    &["chat"],
];

fn root(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)
}

/// The Rust files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
            false => {}
        }
    }
    found
}

/// The text of a file without its unit tests.
fn source(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// The module path of a file below `src`: `gpu/plan.rs` is `gpu::plan`, `gpu/mod.rs` is `gpu`.
fn module(src: &Path, file: &Path) -> String {
    let relative = file.strip_prefix(src).unwrap().with_extension("");
    let parts: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    parts.join("::").trim_end_matches("::mod").to_owned()
}

/// The paths of a text's `use` lines, each with the names that it imports: `a::{b, c::d}` gives `a` with `b` and `c::d`.
fn uses(text: &str) -> Vec<(String, Vec<String>)> {
    let joined = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let statements = joined.split("use ").skip(1).filter_map(|rest| rest.split_once(';')).map(|(path, _)| path);
    let names = |names: &str| names.trim_end_matches('}').split(',').map(|name| name.trim().to_owned()).collect();
    statements
        .map(|path| match path.split_once('{') {
            Some((prefix, list)) => (prefix.trim_end_matches("::").to_owned(), names(list)),
            None => path.rsplit_once("::").map_or_else(
                || (path.to_owned(), vec![String::new()]),
                |(prefix, name)| (prefix.to_owned(), vec![name.to_owned()]),
            ),
        })
        .collect()
}

/// The module above another.
fn parent(module: &str) -> String {
    module.rsplit_once("::").map_or("", |(parent, _)| parent).to_owned()
}

/// What the `mod.rs` of each folder re-exports: the path of a name, and the module that it is from.
fn exports(sources: &BTreeMap<String, (bool, String)>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (module, (_, text)) in sources.iter().filter(|(_, (is_mod, _))| *is_mod) {
        for (prefix, names) in uses(text) {
            let from = format!("{module}::{prefix}");
            if sources.contains_key(&from) {
                found.extend(names.into_iter().map(|name| (format!("{module}::{name}"), from.clone())));
            }
        }
    }
    found
}

/// The modules that a file imports from by `crate::`, `super::` and `self::` paths. A name that a folder re-exports counts for
/// the file that it is from.
fn imports(
    module: &str,
    is_mod: bool,
    text: &str,
    sources: &BTreeMap<String, (bool, String)>,
    exports: &BTreeMap<String, String>,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (prefix, names) in uses(text) {
        // So that `crate` alone is a path as well.
        let statement = format!("{prefix}::");
        let statement = statement.as_str();
        let here = if is_mod { module.to_owned() } else { parent(module) };
        let (base, rest) = if let Some(rest) = statement.strip_prefix("crate::") {
            (String::new(), rest)
        } else if let Some(rest) = statement.strip_prefix("super::") {
            (if is_mod { parent(module) } else { here }, rest)
        } else if let Some(rest) = statement.strip_prefix("self::") {
            (module.to_owned(), rest)
        } else {
            continue;
        };
        for name in &names {
            let path = [base.as_str(), rest.trim_end_matches("::"), name].into_iter().filter(|part| !part.is_empty());
            let mut path = path.collect::<Vec<_>>().join("::");
            // The longest prefix that is a module.
            while !path.is_empty() && !sources.contains_key(&path) {
                path = exports.get(&path).cloned().unwrap_or_else(|| parent(&path));
            }
            if !path.is_empty() && path != module {
                found.insert(path);
            }
        }
    }
    found
}

/// The imports of each module. Imports of a `mod.rs` from its children do not count, because they are re-exports.
fn graph(crate_folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let src = root(crate_folder).join("src");
    let files: Vec<PathBuf> = files(&src)
        .into_iter()
        .filter(|file| !file.strip_prefix(&src).unwrap().iter().any(|part| part == "tests"))
        .collect();
    let sources: BTreeMap<String, (bool, String)> = files
        .iter()
        .map(|file| {
            let is_mod = file.file_name().is_some_and(|name| name == "mod.rs");
            (module(&src, file), (is_mod, source(file)))
        })
        .collect();
    let exports = exports(&sources);
    sources
        .iter()
        .map(|(name, (is_mod, text))| (name.clone(), imports(name, *is_mod, text, &sources, &exports)))
        .collect()
}

/// The layer of a module: the first segment of its path.
fn layer(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// A circle of edges, if there is one.
fn circle(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(
        at: &str,
        graph: &BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if let Some(start) = path.iter().position(|seen| seen == at) {
            path.drain(..start);
            path.push(at.to_owned());
            return true;
        }
        if done.contains(at) {
            return false;
        }
        path.push(at.to_owned());
        for next in graph.get(at).into_iter().flatten() {
            if walk(next, graph, path, done) {
                return true;
            }
        }
        path.pop();
        done.insert(at.to_owned());
        false
    }
    let (mut path, mut done) = (Vec::new(), BTreeSet::new());
    graph.keys().any(|start| walk(start, graph, &mut path, &mut done)).then_some(path)
}

#[test]
fn no_circle_of_imports() {
    for name in ["engine", "shaders"] {
        let graph = graph(name);
        assert!(graph.len() > 5, "{name}: the sources were not found");
        let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, targets) in &graph {
            let targets = targets.iter().map(|to| layer(to)).filter(|to| *to != layer(from)).map(str::to_owned);
            folders.entry(layer(from).to_owned()).or_default().extend(targets);
        }
        assert_eq!(circle(&folders), None, "{name}: between folders");
        // A folder's `mod.rs` re-exports its children, which may name each other through it.
        let files = graph.iter().map(|(from, targets)| {
            let is_own_folder =
                |to: &&String| from.starts_with(&format!("{to}::")) || to.starts_with(&format!("{from}::"));
            (from.clone(), targets.iter().filter(|to| !is_own_folder(to)).cloned().collect())
        });
        assert_eq!(circle(&files.collect()), None, "{name}: between files");
    }
}

#[test]
fn layers_of_the_engine_import_only_from_below() {
    let level = |module: &str| ENGINE_LAYERS.iter().position(|names| names.contains(&layer(module)));
    for (from, targets) in graph("engine") {
        if from == "lib" {
            continue;
        }
        let own = level(&from).unwrap_or_else(|| panic!("{from} is in no layer"));
        for to in targets {
            let below = level(&to).is_some_and(|other| other <= own);
            assert!(below, "{from} imports {to}, which is above it");
        }
    }
}

/// Words that must not appear in a layer's code.
#[test]
fn layers_keep_to_their_own_words() {
    let rules: &[(&str, &[&str])] = &[
        ("engine/src/gpu", &["temperature", "top_k", "attention_", "kv_heads", "Gemma", "logits", "sampling"]),
        ("engine/src/ops", &["Gemma"]),
        ("shaders/src", &["wgpu"]),
        ("engine/src/model", &["16 *", " 4 * ", "(4 * ", " 8 * ", "(8 * ", "BufferUsages"]),
        ("app/src", &["BufferUsages", "write_buffer"]),
        // The package for web developers has nothing of the app.
        ("app/web/package/src", &["BufferUsages", "write_buffer", "lapidary_app"]),
    ];
    for (folder, words) in rules {
        for file in files(&root(folder)) {
            for line in source(&file).lines().filter(|line| !line.trim_start().starts_with("//")) {
                let known = words.iter().find(|word| line.contains(**word));
                assert!(known.is_none(), "{}: {known:?} in: {line}", file.display());
            }
        }
    }
}
