//! `lapidary-page-tool bindgen WASM FOLDER` writes into the folder the JavaScript module `lapidary.js` and the
//! `lapidary_bg.wasm` that it loads. `lapidary-page-tool serve FOLDER PORT` serves a folder to this machine.

mod serve;

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["bindgen", wasm, folder] => bindgen(wasm, folder),
        ["serve", folder, port] => serve::serve(folder, port),
        _ => Err("usage: lapidary-page-tool bindgen WASM FOLDER, or serve FOLDER PORT".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn bindgen(wasm: &str, folder: &str) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(wasm).out_name("lapidary").typescript(false);
    bindgen.remove_name_section(true).remove_producers_section(true);
    let bindgen = bindgen.web(true).map_err(|error| format!("{error:#}"))?;
    bindgen.generate(folder).map_err(|error| format!("{error:#}"))
}
