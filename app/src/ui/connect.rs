//! The dialog that connects to a server.

use egui::{Context, RichText, Ui, vec2};

use super::colours::Colours;
use super::{App, Dialog, Page, icons, kit};
use crate::endpoint::{Address, KEY_VARIABLE, Keys, ServerModel};
use crate::state::ServerSearch;

/// The height of a long list of models, in points.
const LIST_HEIGHT: f32 = 220.0;

/// What is typed.
#[derive(Default)]
pub(super) struct ConnectForm {
    address: String,
    key: String,
    /// Whether a variable holds a key for servers that have none of their own.
    key_in_variable: bool,
    /// Whether the field of the address gets the focus.
    focus: bool,
}

/// What was clicked in the list of used servers.
pub(super) enum ServerChoice {
    Use(ServerModel),
    Forget(ServerModel),
}

impl App {
    /// Opens the dialog, with the address of the last server.
    pub(super) fn show_connect(&mut self) {
        let last = self.state.used_servers().into_iter().next();
        let address = last.map_or_else(String::new, |server| server.address.to_string());
        let key_in_variable = Keys::of_this_user().is_set_by_variable();
        self.connect = ConnectForm { address, key: String::new(), key_in_variable, focus: true };
        self.state.servers = ServerSearch::None;
        self.dialog = Some(Dialog::Connect);
    }

    /// Draws the dialog. Returns whether it should be closed.
    pub(super) fn connect_dialog(&mut self, ctx: &Context) -> bool {
        let (mut ask, mut chosen) = (false, None);
        let mut close = kit::dialog(ctx, "Connect to a server", 480.0, |ui| {
            kit::hint(
                ui,
                "A model of an OpenAI-compatible server, such as llama-server, vLLM or lapidary serve, answers in place of one on \
                 this machine. The server gets the whole chat with every message.",
            );
            ui.add_space(8.0);
            ask = self.connect_fields(ui);
            ui.add_space(8.0);
            chosen = self.connect_answer(ui);
        });
        if ask {
            self.state.find_server(&self.connect.address, &self.connect.key);
        }
        if let Some(server) = chosen {
            self.state.use_server(server, true);
            self.show_page(Page::Chat);
            close = true;
        }
        close
    }

    /// Draws the fields. Returns whether to ask the server.
    fn connect_fields(&mut self, ui: &mut Ui) -> bool {
        let form = &mut self.connect;
        let field = |text, hint: &str| {
            egui::TextEdit::singleline(text).hint_text(hint).desired_width(f32::INFINITY).margin(10.0)
        };
        ui.label(kit::medium("Address", 13.5));
        let address =
            ui.add(field(&mut form.address, "http://localhost:8080/v1")).accessible_name("Address of the server");
        if std::mem::take(&mut form.focus) {
            address.request_focus();
        }
        ui.label(kit::medium("Key", 13.5));
        let mut entered = address.lost_focus();
        let key = field(&mut form.key, "Only if the server wants one").password(true);
        entered |= ui.add(key).accessible_name("Key of the server").lost_focus();
        kit::hint(
            ui,
            "It is sent to this server and to no other host. If the server accepts it, it is kept in the system's key store, or \
             else in a file that only you can read; an empty field uses the key that was kept.",
        );
        if form.key_in_variable {
            kit::hint(ui, format!("If you type none and none was kept, the server gets the key in {KEY_VARIABLE}."));
        }
        let asking = matches!(self.state.servers, ServerSearch::Asking(_));
        let ready = !asking && !self.connect.address.trim().is_empty();
        ui.horizontal(|ui| {
            let clicked = kit::primary_if(ui, ready, "Connect").clicked();
            if asking {
                kit::working(ui);
            }
            clicked || (ready && entered && ui.input(|input| input.key_pressed(egui::Key::Enter)))
        })
        .inner
    }

    /// Draws the server's answer. Returns the model that was chosen.
    fn connect_answer(&mut self, ui: &mut Ui) -> Option<ServerModel> {
        let colours = Colours::of(ui.visuals());
        let mut chosen = None;
        match &self.state.servers {
            ServerSearch::None | ServerSearch::Asking(_) => {}
            ServerSearch::Failed(reason) => {
                ui.label(RichText::new(reason).size(13.5).color(colours.danger));
            }
            ServerSearch::Found(address, models) if models.is_empty() => {
                let text = format!("{} lists no models. Load one there, and connect again.", address.host());
                ui.label(RichText::new(text).size(13.5).color(colours.danger));
            }
            ServerSearch::Found(address, models) => {
                warning(ui, address);
                ui.label(kit::medium(format!("Models of {}", address.host()), 13.5));
                let area = egui::ScrollArea::vertical().max_height(LIST_HEIGHT).min_scrolled_height(LIST_HEIGHT);
                area.auto_shrink([false, true]).show(ui, |ui| {
                    for model in models {
                        let button =
                            egui::Button::new((kit::icon(icons::CLOUD, 16.0).color(colours.mid), model.as_str()));
                        let button = button.right_text("").truncate().min_size(vec2(ui.available_width(), 34.0));
                        if ui.add(button).accessible_name(model).clicked() {
                            chosen = Some(ServerModel { address: address.clone(), model: model.clone() });
                        }
                    }
                });
            }
        }
        chosen
    }

    /// The models of servers that were used, in the list of models. Returns what was clicked.
    pub(super) fn server_rows(&self, ui: &mut Ui) -> Option<ServerChoice> {
        let mut choice = None;
        for server in self.state.used_servers() {
            let author = server.author();
            let used = self.state.used_server() == Some(&server);
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 2.0;
                let forget = format!("Forget {author}");
                let width = ui.available_width() - if used { 0.0 } else { kit::ICON_BUTTON };
                let shown = kit::shorten_middle(&author, 38);
                let mid = Colours::of(ui.visuals()).mid;
                let button = egui::Button::new((kit::icon(icons::CLOUD, 16.0).color(mid), shown)).right_text("");
                let button = ui.add_sized([width, 32.0], button.selected(used));
                if button.accessible_name(format!("Use {author}")).on_hover_text(&author).clicked() && !used {
                    choice = Some(ServerChoice::Use(server.clone()));
                }
                if !used && kit::small_icon_button(ui, true, icons::X, &forget).clicked() {
                    choice = Some(ServerChoice::Forget(server.clone()));
                }
            });
        }
        choice
    }
}

/// Says that messages leave this program, and where they go.
pub(super) fn warning(ui: &mut Ui, address: &Address) {
    let warn = Colours::of(ui.visuals()).warn;
    ui.add(egui::Label::new(RichText::new(address.warning()).size(12.5).color(warn)).wrap());
}
