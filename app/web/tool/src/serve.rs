//! A server of files for a browser on this machine.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path};
use std::time::Duration;

/// A client that is slower than this loses its connection.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest head of a request in bytes.
const MAX_HEAD: u64 = 16 << 10;

/// Serves the files of a folder on a port of this machine, 0 for any. Prints the address, and ends only with an error.
///
/// # Errors
/// Why the port cannot be used.
pub(crate) fn serve(folder: &str, port: &str) -> Result<(), String> {
    let number: u16 = port.parse().map_err(|_| format!("{port} is no port"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number));
    let listener = listener.map_err(|error| format!("port {port} cannot be used: {error}; name another port"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("http://{address}/");
    for stream in listener.incoming().flatten() {
        let folder = folder.to_owned();
        // A browser keeps connections open, so each has a thread.
        std::thread::spawn(move || {
            // An error here is the client's, which went away.
            let _ = answer_all(&stream, Path::new(&folder));
        });
    }
    Ok(())
}

fn answer_all(stream: &TcpStream, folder: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut input = BufReader::new(stream);
    loop {
        let (mut head, mut lines) = ((&mut input).take(MAX_HEAD), Vec::new());
        loop {
            let mut line = String::new();
            if head.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line);
        }
        let request = lines.first().map(String::as_str).unwrap_or_default();
        answer(stream, request.split_whitespace().nth(1).unwrap_or_default(), folder)?;
    }
}

fn answer(mut stream: &TcpStream, target: &str, folder: &Path) -> io::Result<()> {
    let path = target.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
    let path = Path::new(if path.is_empty() { "index.html" } else { path });
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    let file = if inside { File::open(folder.join(path)).ok().filter(is_file) } else { None };
    let Some(mut file) = file else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    };
    let kind = match path.extension().and_then(|end| end.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("json") => "application/json",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    };
    let size = file.metadata()?.len();
    // What was built anew must be fetched anew.
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {size}\r\ncache-control: no-cache\r\n\r\n")?;
    io::copy(&mut file, &mut stream).map(|_| ())
}

fn is_file(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}
