//! In place of `ui::get_models`: on a page, models are files of the user's disk, or are downloaded into the browser's file system.

use std::path::PathBuf;
use std::sync::LazyLock;

use egui::{Align, Layout, Margin, RichText, Ui, vec2};

use super::colours::Colours;
use super::models::PROPOSED;
use super::{App, icons, kit};
use crate::hub::{Entry, Files, Kind, catalogue, terms};
use crate::page::opfs::is_stored;
use crate::size::size;
use crate::state::HubProblem;
use crate::worker::FoundModel;

/// What the part of the page of models keeps.
#[derive(Default)]
pub(super) struct GetModels {
    /// The text of the field for words, or for a model of the hub.
    pub(super) words: String,
    /// Whether the page of models shows those that can be downloaded.
    pub(super) shown: bool,
    /// The model whose deletion is being confirmed.
    deleting: Option<PathBuf>,
}

/// A model of the catalogue that the page can download: one file, without an account.
struct Offer {
    entry: &'static Entry,
    /// What is asked for.
    name: String,
    bytes: u64,
}

static OFFERS: LazyLock<Vec<Offer>> = LazyLock::new(|| {
    let offer = |entry: &'static Entry| {
        let is_open = entry.sources.iter().any(|source| {
            let has = source.formats.iter().any(|format| format == PROPOSED.name());
            source.files == Files::Gguf && !source.gated && has
        });
        let bytes = entry.bytes(PROPOSED).ok()?;
        let name = format!("{}:{}", entry.name, PROPOSED.name());
        (is_open && entry.kind == Kind::Instruct).then_some(Offer { entry, name, bytes })
    };
    catalogue().iter().filter_map(offer).collect()
});

impl App {
    /// A page has no token.
    pub(super) fn token_settings(&mut self, _: &mut Ui) {}

    /// Draws the models of the hub.
    pub(super) fn hub_models(&mut self, ui: &mut Ui) {
        self.hub_field(ui);
        if !self.state.hub.search.words.is_empty() {
            return self.search_results(ui);
        }
        let of_catalogue = |name: &String| OFFERS.iter().any(|offer| offer.name == *name);
        let named: Vec<String> = self.state.hub.active.keys().filter(|name| !of_catalogue(name)).cloned().collect();
        for name in named {
            self.repository_card(ui, &name, "What you named");
        }
        for offer in OFFERS.iter() {
            let note = format!("{} {} to download.", offer.entry.purpose, size(offer.bytes));
            self.hub_card(ui, &offer.name, Some(offer), &note);
        }
        ui.add_space(6.0);
        kit::hint(
            ui,
            "Models come from the Hugging Face hub, and the browser keeps them for this page. A large model needs a browser that \
             gives pages enough memory of the GPU.",
        );
        ui.hyperlink_to("Gemma terms of use", terms::TERMS);
    }

    fn hub_field(&mut self, ui: &mut Ui) {
        let size = vec2(ui.available_width(), 34.0);
        ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
            let is_name = self.get_models.words.contains('/');
            let (verb, what) = match is_name {
                true => ("Download", "Download the model that is named"),
                false => ("Search", "Start the search of the hub"),
            };
            let button = kit::primary(ui, verb).accessible_name(what);
            let field = egui::TextEdit::singleline(&mut self.get_models.words).desired_width(f32::INFINITY);
            let hint = "Search the hub, or paste org/repo:file.gguf or an address";
            let field = ui.add(field.margin(vec2(10.0, 8.0)).hint_text(hint)).accessible_name("Model of the hub");
            let entered = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            let words = self.get_models.words.trim().to_owned();
            if button.clicked() || entered {
                // The text may have been typed in this frame, after the button was drawn.
                if words.contains('/') {
                    self.get_models.words.clear();
                    self.state.hub.search.words.clear();
                    self.state.start_download(&words);
                } else if words.is_empty() {
                    self.state.hub.search.words.clear();
                } else {
                    self.state.search_hub(&words);
                }
            }
        });
        ui.add_space(4.0);
    }

    /// A repository or a file of the hub.
    pub(super) fn repository_card(&mut self, ui: &mut Ui, name: &str, note: &str) {
        self.hub_card(ui, name, None, note);
    }

    /// A model of the hub: one of the catalogue, or another one.
    fn hub_card(&mut self, ui: &mut Ui, name: &str, offer: Option<&Offer>, note: &str) {
        let colours = Colours::of(ui.visuals());
        kit::card(ui).inner_margin(Margin::symmetric(16, 12)).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal(|ui| {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    self.download_button(ui, name);
                    ui.with_layout(Layout::top_down(Align::Min), |ui| {
                        ui.spacing_mut().item_spacing.y = 3.0;
                        ui.horizontal(|ui| {
                            ui.spacing_mut().item_spacing.x = 6.0;
                            match offer {
                                None => {
                                    ui.add(egui::Label::new(kit::semibold(name, 15.0)).truncate());
                                }
                                Some(offer) => {
                                    ui.label(kit::semibold(&offer.entry.title, 15.0));
                                    kit::chip(ui, PROPOSED.name(), colours.mid);
                                }
                            }
                        });
                        ui.add(egui::Label::new(RichText::new(note).size(13.0).color(colours.mid)).wrap());
                    });
                });
            });
            self.progress(ui, name);
        });
    }

    /// Why the hub refused.
    pub(super) fn hub_problem(&mut self, ui: &mut Ui, _place: &str, problem: Option<HubProblem>) {
        let Some(HubProblem { sentence, .. }) = problem else { return };
        let danger = Colours::of(ui.visuals()).danger;
        ui.label(RichText::new(sentence).size(13.0).color(danger));
    }

    /// The button that deletes a model which the browser keeps, after a question.
    pub(super) fn delete_button(&mut self, ui: &mut Ui, model: &FoundModel) {
        if let Some(path) = model.path.as_ref().filter(|path| is_stored(path))
            && kit::small_icon_button(ui, true, icons::TRASH_2, &format!("Delete {}", model.name)).clicked()
        {
            self.get_models.deleting = Some(path.clone());
        }
    }

    /// The question before a model is deleted.
    pub(super) fn deletion(&mut self, ui: &mut Ui, model: &FoundModel, loaded: bool) {
        if self.get_models.deleting.is_none() || self.get_models.deleting != model.path {
            return;
        }
        ui.label(match loaded {
            true => {
                "Delete the file? The model is in use, and answers until another one is loaded or the page is closed."
            }
            false => "Delete the file? You can download it again.",
        });
        ui.horizontal(|ui| {
            if kit::primary(ui, "Delete").accessible_name(format!("Delete the file of {}", model.name)).clicked()
                && let Some(path) = self.get_models.deleting.take()
            {
                self.state.delete_stored_model(&path);
            }
            if ui.button("Keep").accessible_name(format!("Keep {}", model.name)).clicked() {
                self.get_models.deleting = None;
            }
        });
    }
}
