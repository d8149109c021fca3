//! The dialog of settings: pages at the left, the controls of one page at the right.

mod about;
mod appearance;
mod chat_defaults;
mod general;
mod hardware;
mod keyboard;
#[cfg_attr(target_arch = "wasm32", path = "../../page/instead/ui/settings/privacy.rs")]
mod privacy;
mod profiler;
mod serving;

use egui::{Align, Context, Layout, Margin, Ui, vec2};

use super::colours::Colours;
use super::{App, icons, kit};

pub(super) use chat_defaults::sampling_controls;

/// A page of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsPage {
    /// What the program does by itself.
    General,
    /// Theme and size.
    Appearance,
    /// Sampling, system prompt and presets of new chats.
    ChatDefaults,
    /// Texts that are kept to be sent again.
    Prompts,
    /// The adapter, and how models are loaded.
    Hardware,
    /// The model for other programs.
    Serving,
    /// What is stored and what is sent.
    Privacy,
    /// The keys.
    Keyboard,
    /// The times of kernels.
    Developer,
    /// Version and licences.
    About,
}

impl SettingsPage {
    const ALL: [Self; 10] = [
        Self::General,
        Self::Appearance,
        Self::ChatDefaults,
        Self::Prompts,
        Self::Hardware,
        Self::Serving,
        Self::Privacy,
        Self::Keyboard,
        Self::Developer,
        Self::About,
    ];

    /// Whether there is such a page: in a browser, no program can reach the model.
    fn is_here(self) -> bool {
        self != Self::Serving || !crate::IS_PAGE
    }

    fn title(self) -> &'static str {
        match self {
            Self::General => "General",
            Self::Appearance => "Appearance",
            Self::ChatDefaults => "New chats",
            Self::Prompts => "Prompts",
            Self::Hardware => "Hardware",
            Self::Serving => "Other programs",
            Self::Privacy => "Privacy",
            Self::Keyboard => "Keyboard",
            Self::Developer => "Developer",
            Self::About => "About",
        }
    }

    fn icon(self) -> char {
        match self {
            Self::General => icons::SETTINGS,
            Self::Appearance => icons::PALETTE,
            Self::ChatDefaults => icons::MESSAGE_SQUARE,
            Self::Prompts => icons::BOOK_OPEN,
            Self::Hardware => icons::CPU,
            Self::Serving => icons::TERMINAL,
            Self::Privacy => icons::SHIELD,
            Self::Keyboard => icons::KEYBOARD,
            Self::Developer => icons::GAUGE,
            Self::About => icons::INFO,
        }
    }
}

/// The size of the dialog in points, where the window has room for it.
const SIZE: egui::Vec2 = vec2(760.0, 560.0);
/// In a narrower dialog only the icons of the pages are shown.
const NARROW: f32 = 560.0;

impl App {
    /// Draws the dialog. Returns whether it should be closed.
    pub(super) fn settings_dialog(&mut self, ctx: &Context, page: SettingsPage) -> bool {
        let mut close = false;
        let size = SIZE.min(ctx.content_rect().size() - vec2(32.0, 32.0));
        let frame = kit::dialog_frame(ctx).inner_margin(Margin::ZERO);
        let modal = egui::Modal::new(egui::Id::unique("settings")).frame(frame).show(ctx, |ui| {
            ui.set_width(size.x);
            ui.set_height(size.y);
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                ui.set_min_height(size.y);
                let wide = size.x > NARROW;
                let pages = vec2(if wide { 190.0 } else { 56.0 }, size.y);
                self.settings_pages(ui, page, pages, wide);
                egui::Frame::new().inner_margin(Margin { left: 24, right: 16, top: 14, bottom: 14 }).show(ui, |ui| {
                    ui.spacing_mut().item_spacing = vec2(8.0, 8.0);
                    ui.vertical(|ui| {
                        ui.horizontal(|ui| {
                            ui.label(kit::semibold(page.title(), 17.0));
                            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                                close = kit::icon_button(ui, icons::X, "Close").clicked();
                            });
                        });
                        let area = egui::ScrollArea::vertical().id_salt(page.title()).auto_shrink(false);
                        area.show(ui, |ui| self.settings_page(ui, page));
                    });
                });
            });
        });
        close || modal.should_close()
    }

    fn settings_pages(&mut self, ui: &mut Ui, shown: SettingsPage, size: egui::Vec2, wide: bool) {
        let colours = Colours::of(ui.visuals());
        let corners =
            egui::CornerRadius { nw: super::style::LARGE_RADIUS, sw: super::style::LARGE_RADIUS, ne: 0, se: 0 };
        let frame = egui::Frame::new().fill(colours.sidebar).corner_radius(corners).inner_margin(Margin::same(10));
        frame.show(ui, |ui| {
            ui.set_width(size.x - 20.0);
            ui.set_height(size.y - 20.0);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                for page in SettingsPage::ALL.into_iter().filter(|page| page.is_here()) {
                    let sign = kit::icon(page.icon(), 17.0).color(colours.mid);
                    let selected = page == shown;
                    let button = if wide {
                        egui::Button::selectable(selected, (sign, page.title())).right_text("").gap(10.0)
                    } else {
                        egui::Button::selectable(selected, sign)
                    };
                    let button = if selected {
                        button.fill(colours.selected).stroke(egui::Stroke::new(1.0, egui::Color32::TRANSPARENT))
                    } else {
                        button
                    };
                    let response = ui.add(button.min_size(vec2(ui.available_width(), 34.0)));
                    let response = response.accessible_name(page.title());
                    let response = if wide { response } else { response.on_hover_text(page.title()) };
                    if response.clicked() {
                        self.show_settings(page);
                    }
                }
            });
        });
    }

    fn settings_page(&mut self, ui: &mut Ui, page: SettingsPage) {
        match page {
            SettingsPage::General => self.general_page(ui),
            SettingsPage::Appearance => self.appearance_page(ui),
            SettingsPage::ChatDefaults => self.chat_defaults_page(ui),
            SettingsPage::Prompts => self.prompts_page(ui),
            SettingsPage::Hardware => self.hardware_page(ui),
            SettingsPage::Serving => self.serving_page(ui),
            SettingsPage::Privacy => privacy::page(ui),
            SettingsPage::Keyboard => keyboard::page(ui),
            SettingsPage::Developer => self.profiler_page(ui),
            SettingsPage::About => about::page(ui),
        }
        ui.add_space(12.0);
    }
}
