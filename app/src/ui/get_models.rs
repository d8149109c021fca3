//! The part of the page of models where they are found and downloaded.

use std::sync::LazyLock;

use egui::{Align, Layout, Margin, RichText, Ui, vec2};
use lapidary_engine::gpu::Capabilities;
use lapidary_engine::{LoadOptions, Recipe};

use super::colours::Colours;
use super::models::{PROPOSED, memory_bar};
use super::{App, kit};
use crate::hub::{Entry, Kind, Verdict, catalogue, size, terms};
use crate::state::{Download, HubProblem};
use crate::worker::MemoryEstimate;

/// The context that a proposal must leave room for, in tokens.
const CONTEXT: usize = 8192;

/// What the part of the page keeps.
#[derive(Default)]
pub(super) struct GetModels {
    /// The text of the field that searches the hub.
    pub(super) words: String,
    /// The text of the field for the hub's token.
    pub(super) token: String,
    /// Whether the page of models shows those that can be downloaded.
    pub(super) shown: bool,
}

/// What a model of the catalogue takes, in the proposed format.
struct Priced {
    entry: &'static Entry,
    recipe: Recipe,
    bytes: u64,
    memory: MemoryEstimate,
}

/// The models of the catalogue with their prices, which depend on no device.
static PRICED: LazyLock<Vec<Priced>> = LazyLock::new(|| {
    let price = |entry: &'static Entry| {
        let recipes = entry.recipes();
        let recipe = recipes.iter().copied().find(|recipe| *recipe == PROPOSED).or(recipes.first().copied())?;
        let files = entry.files(recipe).ok()?;
        let context = Some(CONTEXT.min(files.config().context_length));
        let options = LoadOptions { context, ..LoadOptions::default() };
        let memory = files.memory(&options, &Capabilities::webgpu()).ok()?.into();
        Some(Priced { entry, recipe, bytes: entry.bytes(recipe).ok()?, memory })
    };
    catalogue().iter().filter_map(price).collect()
});

/// The largest model that answers and fits a device with this memory, without crowding it.
fn recommended(memory: Option<u64>) -> Option<&'static Priced> {
    let fits = |priced: &&Priced| {
        priced.entry.kind == Kind::Instruct && Verdict::of(priced.memory.needed(), memory) == Verdict::Fits
    };
    PRICED.iter().filter(fits).max_by_key(|priced| priced.memory.weights)
}

impl App {
    /// Draws the models of the hub.
    pub(super) fn hub_models(&mut self, ui: &mut Ui) {
        self.hub_search(ui);
        if self.state.hub.search.words.is_empty() {
            let memory = self.device_memory();
            let best = recommended(memory).map(|priced| priced.entry.name.as_str());
            for priced in PRICED.iter() {
                self.catalogue_card(ui, priced, memory, best == Some(priced.entry.name.as_str()));
            }
        } else {
            self.search_results(ui);
        }
        ui.add_space(6.0);
        kit::hint(ui, "Models come from the Hugging Face hub and are kept in the cache that its programs share.");
        ui.hyperlink_to("Gemma terms of use", terms::TERMS);
    }

    fn hub_search(&mut self, ui: &mut Ui) {
        ui.horizontal(|ui| {
            let width = ui.available_width() - 100.0;
            let field =
                egui::TextEdit::singleline(&mut self.get_models.words).desired_width(width).margin(vec2(10.0, 8.0));
            let field = field.hint_text("Search the hub, or paste org/repo, org/repo:file or an address");
            let field = ui.add(field).accessible_name("Search the hub");
            let entered = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            let search = kit::primary(ui, "Search").accessible_name("Start the search of the hub");
            if search.clicked() || entered {
                let words = self.get_models.words.trim().to_owned();
                if words.is_empty() {
                    self.state.hub.search.words.clear();
                } else {
                    self.state.search_hub(&words);
                    if words.contains('/') {
                        self.state.plan_download(&words);
                    }
                }
            }
        });
        ui.add_space(4.0);
    }

    /// Why the hub refused, and the field for a token where that may help.
    pub(super) fn hub_problem(&mut self, ui: &mut Ui, place: &str, problem: Option<HubProblem>) {
        let Some(HubProblem { sentence, wants_token }) = problem else { return };
        let danger = Colours::of(ui.visuals()).danger;
        ui.label(RichText::new(sentence).size(13.0).color(danger));
        if wants_token {
            self.token_form(ui, place);
        }
    }

    /// A repository of the hub, whose size and fit are looked up when the person asks.
    pub(super) fn repository_card(&mut self, ui: &mut Ui, name: &str, note: &str) {
        let colours = Colours::of(ui.visuals());
        kit::card(ui).inner_margin(Margin::symmetric(16, 12)).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal(|ui| {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    self.download_button(ui, name);
                    let known = matches!(self.state.hub.plan(name), Some(Ok(_)));
                    if !known
                        && !self.state.hub.is_planning(name)
                        && ui.button("Look").accessible_name(format!("Look at {name}")).clicked()
                    {
                        self.state.plan_download(name);
                    }
                    ui.with_layout(Layout::top_down(Align::Min), |ui| {
                        ui.spacing_mut().item_spacing.y = 2.0;
                        ui.add(egui::Label::new(kit::semibold(name, 14.0)).truncate());
                        ui.add(egui::Label::new(RichText::new(note).size(12.5).color(colours.weak)).truncate());
                    });
                });
            });
            self.plan(ui, name);
            self.progress(ui, name);
        });
    }

    fn catalogue_card(&mut self, ui: &mut Ui, priced: &Priced, memory: Option<u64>, best: bool) {
        let colours = Colours::of(ui.visuals());
        let name = format!("{}:{}", priced.entry.name, priced.recipe.name());
        let frame = kit::card(ui).inner_margin(Margin::symmetric(16, 12));
        let frame = if best { frame.stroke(egui::Stroke::new(1.0, colours.accent_text)) } else { frame };
        frame.show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal(|ui| {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    self.download_button(ui, &name);
                    ui.with_layout(Layout::top_down(Align::Min), |ui| {
                        ui.spacing_mut().item_spacing.y = 3.0;
                        ui.horizontal(|ui| {
                            ui.spacing_mut().item_spacing.x = 6.0;
                            ui.label(kit::semibold(&priced.entry.title, 15.0));
                            kit::chip(ui, priced.recipe.name(), colours.mid);
                            if priced.entry.kind == Kind::Base {
                                kit::chip(ui, "base: continues texts, does not chat", colours.warn);
                            }
                            if best {
                                kit::chip(ui, "recommended here", colours.accent_text);
                            }
                        });
                        let text = format!("{} {} to download.", priced.entry.purpose, size(priced.bytes));
                        ui.add(egui::Label::new(RichText::new(text).size(13.0).color(colours.mid)).wrap());
                    });
                });
            });
            memory_bar(ui, priced.memory, memory);
            self.progress(ui, &name);
        });
    }

    /// What a download would consist of.
    fn plan(&mut self, ui: &mut Ui, name: &str) {
        let memory = self.device_memory();
        let colours = Colours::of(ui.visuals());
        if self.state.hub.is_planning(name) {
            kit::working(ui);
        }
        let mut problem = None;
        match self.state.hub.plan(name) {
            None => {}
            // The download failed for the same reason.
            Some(Err(_)) if matches!(self.state.hub.active.get(name), Some(Download::Failed(_))) => {}
            Some(Err(reason)) => problem = Some(reason.clone()),
            Some(Ok(planned)) => {
                let (total, count) = (planned.plan.total(), planned.plan.files.len());
                let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
                let text = format!("{files}, {} to download", size(total - planned.present));
                ui.label(RichText::new(text).size(13.0).color(colours.mid));
                match &planned.memory {
                    Err(reason) => {
                        let text = format!("It cannot run here: {reason}.");
                        ui.label(RichText::new(text).size(13.0).color(colours.danger));
                    }
                    Ok(needed) => memory_bar(ui, (*needed).into(), memory),
                }
                if let Some(reason) = &planned.no_room {
                    ui.label(RichText::new(reason.to_string()).size(13.0).color(colours.danger));
                }
            }
        }
        self.hub_problem(ui, name, problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_of_the_catalogue_has_a_price() {
        assert_eq!(PRICED.len(), catalogue().len());
        for priced in PRICED.iter() {
            assert!(priced.memory.weights > priced.bytes / 2, "{}", priced.entry.name);
        }
    }

    #[test]
    fn the_recommended_model_fits_and_is_the_largest_that_does() {
        assert!(recommended(None).is_none());
        assert!(recommended(Some(100 << 20)).is_none());
        let name = |gigabytes: u64| recommended(Some(gigabytes << 30)).map(|priced| priced.entry.name.as_str());
        let sizes: Vec<u64> = [2, 4, 8, 16, 24, 80]
            .iter()
            .filter_map(|memory| recommended(Some(memory << 30)))
            .map(|p| p.bytes)
            .collect();
        assert!(sizes.is_sorted() && sizes.len() == 6, "{sizes:?}");
        assert_ne!(name(4), name(24));
    }
}
