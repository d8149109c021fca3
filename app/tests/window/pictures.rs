//! Pictures of the window in scripted states, for people to look at.
//!
//! `LAPIDARY_PICTURES=FOLDER cargo test --release -p lapidary --test window -- --ignored pictures` writes one file per state
//! and theme, and `sheet.png`, which shows twelve of them side by side.

use std::path::{Path, PathBuf};

use egui::{Key, Modifiers};
use lapidary_app::settings::Theme;
use lapidary_app::ui::{Dialog, Page, SettingsPage};
use lapidary_app::worker::{NextToken, Remedy};

use crate::script::{Window, problem};
use crate::servers::{connected, open_dialog};

const REPLY: &str = "### Every second layer looks only near\n\nGemma 2 alternates two kinds of attention. A **local layer** sees the \
    last 4,096 tokens; a **global layer** sees all of them. Half the layers therefore keep a small cache.\n\n- **Speed:** work per \
    token stops growing after 4,096 tokens in local layers.\n- **Memory:** their cache is a ring that is never longer than the \
    window.\n- **Reach:** through the global layers nothing is out of sight.\n\n```python\ndef mask(q: int, k: int, local: bool) \
    -> bool:\n    near = q - k < 4096\n    return k <= q and (near or not local)\n```\n";

const RICH: &str = "## Formats\n\nThe cap is $50 \\tanh(x / 50)$, and `d` is the scale of a block.\n\n| format | bits | note |\n|:--|--:|:-:|\n| \
    q4_0 | 4.5 | small |\n| q8_0 | 8.5 | close to lossless |\n| bf16 | 16 | as trained |\n\n1. Take the file.\n2. Drop it here.\n   - \
    It is read.\n   - It is checked.\n\n> What is quoted stands apart.\n\n- [x] done\n- [ ] not done\n\nSee [the paper](https://arxiv.org/abs/2408.00118).\n";

/// A window with several chats, of which the last one is open.
fn talk() -> Window {
    let mut window = Window::new();
    window.harness.state_mut().state.settings.model_titles = false;
    window.harness.state_mut().state.load_model(Some("/models/gemma-2-9b-it-Q4_K_M.gguf".into()));
    window.until("it is loaded", |app| app.state.loaded().is_some_and(|loaded| !loaded.is_guide()));
    for title in [
        "Recipe for sourdough",
        "Email to the landlord",
        "Trip to Lisbon in May",
        "Regex for ISO dates",
        "Rust lifetimes in a parser",
    ] {
        window.exchange(title, "Yes.");
        window.key(Modifiers::COMMAND, Key::N);
    }
    window.exchange("How does the sliding window of Gemma 2 work?", REPLY);
    let state = &mut window.harness.state_mut().state;
    let pinned = state.visible_chats().last().unwrap().id;
    state.pin(pinned, true);
    state.notices.clear();
    window.settle();
    window
}

/// Draws a state in both themes. Returns the files.
fn draw(window: &mut Window, folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (theme, end) in [(Theme::Dark, "dark"), (Theme::Light, "light")] {
        window.harness.state_mut().state.settings.theme = theme;
        window.settle();
        window.until("the code has its colours", |app| !app.is_highlighting());
        let path = folder.join(format!("{name}-{end}.png"));
        // The test harness leaves a margin of 8 points.
        let picture = window.harness.render().unwrap();
        let (width, height) = (picture.width() - 16, picture.height() - 16);
        image::imageops::crop_imm(&picture, 8, 8, width, height).to_image().save(&path).unwrap();
        files.push(path);
    }
    files
}

#[test]
#[ignore = "draws pictures for people to look at, where LAPIDARY_PICTURES says"]
fn pictures() {
    let Some(folder) = std::env::var_os("LAPIDARY_PICTURES").map(PathBuf::from) else {
        panic!("set LAPIDARY_PICTURES to the folder for the pictures");
    };
    std::fs::create_dir_all(&folder).unwrap();
    let mut files = Vec::new();
    let size = |window: &mut Window, width: f32, height: f32| {
        window.harness.set_size(egui::vec2(width + 16.0, height + 16.0));
        window.settle();
    };

    let mut window = Window::new();
    size(&mut window, 1280.0, 800.0);
    files.extend(draw(&mut window, &folder, "first"));

    let mut window = talk();
    size(&mut window, 1280.0, 800.0);
    files.extend(draw(&mut window, &folder, "chat"));
    window.harness.state_mut().rail = true;
    files.extend(draw(&mut window, &folder, "rail"));
    window.harness.state_mut().rail = false;
    for (page, name) in [
        (SettingsPage::Appearance, "settings-appearance"),
        (SettingsPage::Hardware, "settings-hardware"),
        (SettingsPage::Keyboard, "settings-keyboard"),
        (SettingsPage::ChatDefaults, "settings-chats"),
    ] {
        window.harness.state_mut().show_settings(page);
        window.settle();
        files.extend(draw(&mut window, &folder, name));
    }
    window.harness.state_mut().dialog = None;
    window.harness.state_mut().show_page(Page::Models);
    window.settle();
    files.extend(draw(&mut window, &folder, "models"));
    window.press("Get models");
    files.extend(draw(&mut window, &folder, "get-models"));
    window.harness.state_mut().show_page(Page::Chat);
    window.key(Modifiers::COMMAND, Key::K);
    files.extend(draw(&mut window, &folder, "palette"));
    window.harness.state_mut().dialog = None;
    window.settle();
    window.press("Model: gemma-2-9b-it-Q4_K_M");
    files.extend(draw(&mut window, &folder, "model-menu"));
    window.key(Modifiers::NONE, Key::Escape);
    window.key(Modifiers::COMMAND, Key::N);
    files.extend(draw(&mut window, &folder, "new-chat"));
    window.exchange("Show me what you can draw", RICH);
    window.script().alternatives =
        vec![(NextToken::Text(" window".into()), 0.72), (NextToken::Text(" cache".into()), 0.0)];
    files.extend(draw(&mut window, &folder, "rich"));
    let narrow = window.harness.state().state.settings.zoom;
    size(&mut window, 600.0, 800.0);
    files.extend(draw(&mut window, &folder, "narrow"));
    window.key(Modifiers::COMMAND, Key::B);
    files.extend(draw(&mut window, &folder, "narrow-list"));
    window.key(Modifiers::COMMAND, Key::B);
    size(&mut window, 1280.0, 800.0);
    window.harness.state_mut().state.settings.zoom = 2.0 * narrow;
    files.extend(draw(&mut window, &folder, "zoomed"));
    window.harness.state_mut().state.settings.zoom = narrow;
    size(&mut window, 2560.0, 1300.0);
    files.extend(draw(&mut window, &folder, "wide"));
    size(&mut window, 1280.0, 800.0);
    window.script().reply_problem = Some(problem("The GPU device was lost.", Remedy::Reload));
    window.exchange("And once more?", "It began");
    window.harness.state_mut().state.delete(0);
    window.harness.state_mut().state.notify("The chat was written to /home/ada/Documents/Talk.md.");
    files.extend(draw(&mut window, &folder, "failed"));
    window.harness.state_mut().dialog = Some(Dialog::Trash);
    files.extend(draw(&mut window, &folder, "trash"));

    let mut window = Window::new();
    size(&mut window, 1280.0, 800.0);
    open_dialog(&mut window);
    window.write("Address of the server", "http://lab.example:8000");
    window.press("Connect");
    files.extend(draw(&mut window, &folder, "connect"));
    let mut window = connected();
    size(&mut window, 1280.0, 800.0);
    files.extend(draw(&mut window, &folder, "server-new-chat"));
    window.exchange("Show me what you can draw", RICH);
    files.extend(draw(&mut window, &folder, "server-chat"));
    window.press("Model: gemma-2-27b at lab.example:8000");
    files.extend(draw(&mut window, &folder, "server-menu"));
    sheet(&files, &folder.join("sheet.png"));
}

/// Puts twelve of the pictures on one.
fn sheet(files: &[PathBuf], to: &Path) {
    let wanted = [
        "first-dark",
        "chat-dark",
        "chat-light",
        "rail-dark",
        "settings-appearance-light",
        "get-models-dark",
        "palette-light",
        "model-menu-dark",
        "rich-light",
        "narrow-list-dark",
        "zoomed-light",
        "failed-dark",
    ];
    let (width, height, columns) = (640, 400, 3);
    let rows = wanted.len().div_ceil(columns) as u32;
    let mut sheet =
        image::RgbaImage::from_pixel(width * columns as u32, height * rows, image::Rgba([127, 127, 127, 255]));
    for (index, name) in wanted.iter().enumerate() {
        let file = files.iter().find(|file| file.file_stem().is_some_and(|stem| stem == *name)).unwrap();
        let picture = image::open(file).unwrap().resize(width - 8, height - 8, image::imageops::FilterType::Triangle);
        let (column, row) = ((index % columns) as u32, (index / columns) as u32);
        image::imageops::overlay(
            &mut sheet,
            &picture.to_rgba8(),
            i64::from(column * width + 4),
            i64::from(row * height + 4),
        );
    }
    sheet.save(to).unwrap();
}
