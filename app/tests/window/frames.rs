//! The frame time of the window with 200 long messages and a reply of 100 tokens per second.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lapidary_app::chats::Store;
use lapidary_app::state::{Model, State};
use lapidary_app::ui::{App, apply_style};
use lapidary_app::worker::Load;

use crate::script::{Script, ScriptedWorker};

const LONG: &str = "## A heading\n\nSome *text* with `code`, **bold** and a [link](https://example.org), long enough to be broken \
    into a few lines on any screen that people use today.\n\n- a list\n- of things\n  - that nest\n\n```rust\nfn main() {\n    \
    println!(\"hello\");\n}\n```\n\n| a | b | c |\n|---|---|---|\n| 1 | 2 | 3 |\n| 4 | 5 | 6 |\n\n1. first\n2. second\n\n> a \
    quotation of some length, which goes on for a while\n\n";

/// 99 % of frames take at most 16 ms on the window's thread, for state, layout and tessellation.
///
/// This holds in the release profile, in which the tests of this project run.
#[test]
fn frames_stay_short_while_a_long_chat_grows() {
    let script = Arc::new(Mutex::new(Script { bytes_per_event: 1 << 20, ..Script::default() }));
    script.lock().unwrap().replies.extend((0..100).map(|_| LONG.repeat(6)));
    let store = Store::open(None, Arc::new(|| {}));
    let mut app = App::new(State::new(Box::new(ScriptedWorker(script.clone())), store, Load::default()));
    while !matches!(app.state.model, Model::Ready(_)) {
        app.state.tick();
        std::thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..100 {
        app.state.set_draft(LONG.to_owned());
        app.state.send();
        while app.state.reply().is_some() {
            app.state.tick();
        }
    }
    assert_eq!(app.state.tree().unwrap().path().len(), 200);
    {
        let mut script = script.lock().unwrap();
        script.bytes_per_event = 0;
        script.replies.push_back(LONG.repeat(40));
    }
    app.state.set_draft("And once more, at length".into());
    app.state.send();
    let ctx = egui::Context::default();
    apply_style(&ctx);
    let mut times = Vec::new();
    for frame in 0..400 {
        // 60 frames per second at 100 tokens per second of about 5 bytes.
        if frame >= 20 {
            script.lock().unwrap().bytes_per_event = 8;
        }
        let screen = egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(1080.0, 760.0));
        let input = egui::RawInput {
            screen_rect: Some(screen),
            time: Some(frame as f64 / 60.0),
            focused: true,
            ..egui::RawInput::default()
        };
        let started = Instant::now();
        app.state.tick_once();
        script.lock().unwrap().bytes_per_event = 0;
        let output = ctx.run_ui(input, |ui| app.show(ui));
        let shapes = ctx.tessellate(output.shapes, output.pixels_per_point);
        let taken = started.elapsed();
        assert!(!shapes.is_empty());
        // The first frames fill the caches of fonts and heights.
        if frame >= 20 {
            times.push(taken.as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    let (median, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("a frame takes {median:.2} ms, 99 % at most {most:.2} ms, the longest {:.2} ms", times[times.len() - 1]);
    let grown = app.state.tree().unwrap().branch().last().unwrap().text.len();
    assert!(grown > 2000, "the reply did not grow: {grown} bytes");
    assert!(most <= 16.0, "99 % of frames take up to {most:.1} ms");
}
