//! The native window around [`App`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use egui::{UserAttentionType, ViewportBuilder, ViewportCommand};

use crate::chats::Store;
use crate::data_folder::{Lock, NotLocked, data_folder, database};
#[cfg(all(unix, not(target_os = "macos")))]
use crate::desktop_note::DesktopNotes;
use crate::handover::{self, HandedOver, NotHandedOver};
use crate::hub::downloads::Downloads;
use crate::icon::icon;
use crate::recent_models;
use crate::state::{Model, State};
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

/// Opens the window and returns after it is closed. If a window is open already, that one comes to the front and opens
/// the model, and this returns at once.
///
/// `model` is the model to load, as an absolute path; `None` for the last one used.
///
/// # Errors
/// [`NoWindow`] if the system has no usable display.
pub fn open(model: Option<PathBuf>) -> Result<(), NoWindow> {
    let started = Instant::now();
    let folder = data_folder();
    // Two windows on one database would overwrite each other's drafts and miss each other's chats.
    let lock = folder.as_deref().map(Lock::take);
    let mut in_use = None;
    if let (Some(folder), Some(Err(NotLocked::InUse))) = (&folder, &lock) {
        match hand_over(folder, &HandedOver { model: model.clone() }) {
            Ok(()) => return Ok(()),
            Err(reason) => {
                log::info!("{reason}");
                in_use = Some(InUse);
            }
        }
    }
    let options = eframe::NativeOptions {
        viewport: ViewportBuilder::default()
            .with_title("Lapidary")
            .with_app_id("lapidary")
            .with_icon(egui::IconData { rgba: icon(ICON_SIZE), width: ICON_SIZE, height: ICON_SIZE })
            .with_inner_size([1080.0, 760.0])
            .with_min_inner_size([420.0, 320.0]),
        // The size and place of the window, and the widths of its panels. Chats and settings are in the database.
        persistence_path: folder.as_ref().map(|folder| folder.join("window.ron")),
        ..Default::default()
    };
    let app = eframe::run_native(
        "Lapidary",
        options,
        Box::new(move |creation| {
            // Not before there is a window: without one, the chat in the terminal needs the console.
            #[cfg(windows)]
            crate::console::close_own();
            apply_style(&creation.egui_ctx);
            if let Some(in_use) = in_use {
                return Ok(Box::new(in_use));
            }
            let ctx = creation.egui_ctx.clone();
            let lock = lock.and_then(Result::ok);
            let (sender, handed_over) = mpsc::channel();
            if let (Some(folder), Some(_)) = (&folder, &lock) {
                let ctx = ctx.clone();
                let deliver = move |message| {
                    let delivered = sender.send(message).is_ok();
                    ctx.request_repaint();
                    delivered
                };
                if let Err(error) = handover::listen(folder, deliver) {
                    log::info!("a second start cannot reach this window: {error}");
                }
            }
            let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || ctx.request_repaint());
            let store = match folder {
                Some(folder) => Store::open(Some(database(&folder)), wake.clone()),
                None => Store::without_folder(
                    "This system has no known folder for user data, so chats cannot be kept".into(),
                    wake.clone(),
                ),
            };
            let load = Load { model: model.or_else(recent_models::last), ..Load::default() };
            let hub_wake = wake.clone();
            let downloads = Downloads::new(None, data_folder(), move || hub_wake());
            let mut state = State::new(Box::new(EngineWorker::start(wake)), store, load);
            state.set_downloads(downloads);
            let mut app = App::new(state);
            app.use_system_dialogs();
            #[cfg(all(unix, not(target_os = "macos")))]
            if let Some(notes) = DesktopNotes::start() {
                app.show_desktop_notes(move |title, text| notes.show(title, text));
            }
            Ok(Box::new(MainWindow { app, started: Some(started), handed_over, _lock: lock }))
        }),
    );
    app.map_err(|error| NoWindow::Display(reason(&error.to_string())))
}

/// Hands a message to the window that is open, which may be about to listen.
fn hand_over(folder: &Path, message: &HandedOver) -> Result<(), NotHandedOver> {
    const TRIES: u32 = 10;
    for _ in 1..TRIES {
        match handover::hand_over(folder, message) {
            Err(NotHandedOver::NobodyListens(_)) => std::thread::sleep(Duration::from_millis(100)),
            result => return result,
        }
    }
    handover::hand_over(folder, message)
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

struct MainWindow {
    app: App,
    /// The start time, until the time to start has been logged.
    started: Option<Instant>,
    /// What later starts of the program ask for.
    handed_over: Receiver<HandedOver>,
    _lock: Option<Lock>,
}

impl MainWindow {
    /// Comes to the front and opens the model that a later start names.
    fn take_over(&mut self, ctx: &egui::Context) {
        for HandedOver { model } in self.handed_over.try_iter() {
            for command in [
                ViewportCommand::Minimized(false),
                ViewportCommand::Visible(true),
                ViewportCommand::Focus,
                // Wayland lets no program take the focus, but shows that it asks for it.
                ViewportCommand::RequestUserAttention(UserAttentionType::Informational),
            ] {
                ctx.send_viewport_cmd(command);
            }
            let state = &mut self.app.state;
            let is_loading = matches!(state.model, Model::Loading { .. }) && state.requested_model() == model.as_ref();
            if model.is_some() && !is_loading {
                state.load_model(model);
            }
        }
    }
}

impl eframe::App for MainWindow {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.take_over(ctx);
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

/// The content of a window while another program, which cannot be reached, has the chats open.
struct InUse;

impl eframe::App for InUse {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        egui::CentralPanel::default().show(ui, |ui| {
            ui.vertical_centered(|ui| {
                ui.add_space(ui.available_height() * 0.3);
                ui.heading("The chats are open in another Lapidary");
                ui.label("It may be a chat in a terminal, or a window. Close it there, then start this one again.");
                ui.add_space(8.0);
                if ui.button("Close this window").clicked() {
                    ui.ctx().send_viewport_cmd(ViewportCommand::Close);
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
