//! - `lapidary-page-tool bindgen WASM NAME FOLDER` writes into the folder the JavaScript module `NAME.js` and the `NAME_bg.wasm` that
//!   it loads.
//! - `lapidary-page-tool grammars FILE` writes the grammars that colour code.
//! - `lapidary-page-tool serve FOLDER PORT` serves a folder to this machine.

mod serve;

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["bindgen", wasm, name, folder] => bindgen(wasm, name, folder),
        ["grammars", file] => grammars(file),
        ["serve", folder, port] => serve::serve(folder, port),
        _ => Err("usage: lapidary-page-tool bindgen WASM NAME FOLDER, grammars FILE, or serve FOLDER PORT".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn grammars(file: &str) -> Result<(), String> {
    let grammars = two_face::syntax::extra_newlines();
    syntect::dumps::dump_to_uncompressed_file(&grammars, file).map_err(|error| format!("{file}: {error}"))
}

fn bindgen(wasm: &str, name: &str, folder: &str) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(wasm).out_name(name).typescript(false);
    bindgen.remove_name_section(true).remove_producers_section(true);
    let bindgen = bindgen.web(true).map_err(|error| format!("{error:#}"))?;
    bindgen.generate(folder).map_err(|error| format!("{error:#}"))
}
