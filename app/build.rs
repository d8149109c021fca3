//! Gives the program's file its icon, version and manifest on Windows.

use std::path::Path;
use std::{env, fs};

#[path = "src/icon.rs"]
mod icon;

/// Pixels that Explorer shows.
const SIZES: [u32; 4] = [16, 32, 48, 256];

/// Windows makes no console for the program where it is started from the desktop. Versions before Windows 11 24H2 do not know
/// this and make one, which the window closes.
const MANIFEST: &str = r#"
<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0">
  <application>
    <windowsSettings>
      <consoleAllocationPolicy xmlns="http://schemas.microsoft.com/SMI/2024/WindowsSettings">detached</consoleAllocationPolicy>
    </windowsSettings>
  </application>
</assembly>
"#;

fn main() {
    println!("cargo::rerun-if-changed=src/icon.rs");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "windows") {
        let path = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("lapidary.ico");
        fs::write(&path, ico()).expect("OUT_DIR is writable");
        let mut resource = winresource::WindowsResource::new();
        resource.set("ProductName", "Lapidary").set_icon(&path.to_string_lossy()).set_manifest(MANIFEST);
        resource.compile().expect("the resource compiler of the Windows toolchain");
    }
}

/// An icon file: how many images, then size and place of each, then the images as PNG.
fn ico() -> Vec<u8> {
    let images = SIZES.map(png);
    let mut file = Vec::from([0, 0, 1, 0]);
    file.extend((SIZES.len() as u16).to_le_bytes());
    let mut place = 6 + 16 * SIZES.len();
    for (size, image) in SIZES.iter().zip(&images) {
        // 256 is written as 0.
        let side = *size as u8;
        file.extend([side, side, 0, 0, 1, 0, 32, 0]);
        file.extend((image.len() as u32).to_le_bytes());
        file.extend((place as u32).to_le_bytes());
        place += image.len();
    }
    file.extend(images.concat());
    file
}

fn png(size: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size, size);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("a Vec takes everything");
    writer.write_image_data(&icon::icon(size)).expect("four bytes a pixel");
    drop(writer);
    bytes
}
