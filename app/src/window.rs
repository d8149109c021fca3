//! The native window around [`App`].

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use egui::ViewportBuilder;

use crate::chats::Store;
use crate::icon::icon;
use crate::last_model;
use crate::state::State;
use crate::ui::{App, apply_style};
use crate::worker::{EngineWorker, Load};

/// The side of the window's icon in pixels.
const ICON_SIZE: u32 = 64;

/// Why no window can be opened.
#[derive(Debug)]
pub enum NoWindow {
    /// There is no usable display, and why. A terminal chat still works.
    Display(String),
}

/// Opens the window and returns after it is closed.
///
/// # Errors
/// [`NoWindow`] if the system has no usable display.
pub fn open() -> Result<(), NoWindow> {
    let started = Instant::now();
    let options = eframe::NativeOptions {
        viewport: ViewportBuilder::default()
            .with_title("Lapidary")
            .with_app_id("lapidary")
            .with_icon(egui::IconData { rgba: icon(ICON_SIZE), width: ICON_SIZE, height: ICON_SIZE })
            .with_inner_size([1080.0, 760.0])
            .with_min_inner_size([420.0, 320.0]),
        ..Default::default()
    };
    let folder = last_model::data_folder();
    // Two windows on one database would overwrite each other's drafts and miss each other's chats.
    let lock = folder.as_deref().map(lock);
    let already = matches!(lock, Some(Err(TryLockError::WouldBlock)));
    let app = eframe::run_native(
        "Lapidary",
        options,
        Box::new(move |creation| {
            apply_style(&creation.egui_ctx);
            if already {
                return Ok(Box::new(AlreadyOpen));
            }
            let ctx = creation.egui_ctx.clone();
            let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || ctx.request_repaint());
            let store = match folder {
                Some(folder) => Store::open(Some(folder.join("chats.sqlite")), wake.clone()),
                None => Store::without_folder(
                    "This system has no known folder for user data, so chats cannot be kept".into(),
                    wake.clone(),
                ),
            };
            let load = Load { model: last_model::last_model(), ..Load::default() };
            let state = State::new(Box::new(EngineWorker::start(wake)), store, load);
            Ok(Box::new(MainWindow { app: App::new(state), started: Some(started), _lock: lock.and_then(Result::ok) }))
        }),
    );
    app.map_err(|error| NoWindow::Display(reason(&error.to_string())))
}

/// The last part of an error message, which omits the library's source location. An empty list of drivers becomes a
/// sentence.
fn reason(error: &str) -> String {
    let last = error.rsplit(": ").next().filter(|last| last.contains(char::is_alphabetic));
    last.unwrap_or("no graphics driver supports it").to_owned()
}

/// Shows in a system dialog why no window can be opened, if the system can show one.
pub fn show_error_dialog(reason: &str) {
    rfd::MessageDialog::new()
        .set_level(rfd::MessageLevel::Error)
        .set_title("Lapidary")
        .set_description(format!(
            "The window cannot be opened: {reason}.\n\nIt needs a graphics driver with Vulkan, Metal or Direct3D 12. Install or \
             update the driver of your graphics card; on Linux without one, Mesa's software driver will do (the package \
             mesa-vulkan-drivers). In a terminal, `lapidary chat` works without a window."
        ))
        .show();
}

/// Locks the data folder until the returned file is closed.
fn lock(folder: &Path) -> Result<File, TryLockError> {
    std::fs::create_dir_all(folder).map_err(TryLockError::Error)?;
    let file = File::create(folder.join("lock")).map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

struct MainWindow {
    app: App,
    /// The start time, until the time to start has been logged.
    started: Option<Instant>,
    _lock: Option<File>,
}

impl eframe::App for MainWindow {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.app.tick(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.app.show(ui);
        if self.app.state.loaded().is_some()
            && let Some(started) = self.started.take()
        {
            log::info!("the window and its model are ready after {} ms", started.elapsed().as_millis());
        }
    }
}

/// The content of a second window while the first is open.
struct AlreadyOpen;

impl eframe::App for AlreadyOpen {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        egui::CentralPanel::default().show(ui, |ui| {
            ui.vertical_centered(|ui| {
                ui.add_space(ui.available_height() * 0.3);
                ui.heading("Lapidary is open already");
                ui.label("Its chats belong to one window at a time. Close the other window, then start it again.");
                ui.add_space(8.0);
                if ui.button("Close this window").clicked() {
                    ui.ctx().send_viewport_cmd(egui::ViewportCommand::Close);
                }
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn reasons_are_readable() {
        assert_eq!(reason("winit: src/x11.rs:12: no display"), "no display");
        let none = "WGPU error: Failed to create surface for any enabled backend: {}";
        assert_eq!(reason(none), "no graphics driver supports it");
    }
}
