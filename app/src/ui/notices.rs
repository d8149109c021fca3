//! Notices between the conversation and the composer, where they cover nothing.

use egui::{Align, Layout, Margin, RichText, Ui, vec2};

use super::colours::Colours;
use super::style::COLUMN;
use super::{App, Page, icons, kit};

impl App {
    pub(super) fn notices(&mut self, ui: &mut Ui) {
        if self.state.notices.is_empty() {
            return;
        }
        let (mut undo, mut close) = (None, None);
        let frame = egui::Frame::new().fill(Colours::of(ui.visuals()).bg).inner_margin(Margin::symmetric(16, 4));
        egui::Panel::bottom("notices").frame(frame).show_separator_line(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            ui.vertical_centered(|ui| {
                for (index, notice) in self.state.notices.iter().enumerate() {
                    let colours = Colours::of(ui.visuals());
                    let width = ui.available_width().min(COLUMN + 16.0);
                    let frame =
                        kit::card(ui).corner_radius(10).inner_margin(Margin { left: 14, right: 6, top: 2, bottom: 2 });
                    ui.allocate_ui(vec2(width, 0.0), |ui| {
                        frame.show(ui, |ui| {
                            ui.allocate_ui_with_layout(
                                vec2(width - 24.0, 32.0),
                                Layout::right_to_left(Align::Center),
                                |ui| {
                                    if kit::small_icon_button(ui, true, icons::X, "Close the notice").clicked() {
                                        close = Some(index);
                                    }
                                    if !notice.undo.is_empty() && kit::ghost(ui, "Undo").clicked() {
                                        undo = Some(notice.undo.clone());
                                    }
                                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                                        let colour = if notice.is_error { colours.danger } else { colours.text };
                                        if notice.is_error {
                                            kit::sign(ui, icons::CIRCLE_ALERT, 16.0, colour);
                                        }
                                        let text = RichText::new(&notice.text).size(13.5).color(colour);
                                        ui.add(egui::Label::new(text).wrap());
                                    });
                                },
                            );
                        });
                    });
                }
            });
        });
        if let Some(ids) = undo {
            self.state.undo(&ids);
            self.show_page(Page::Chat);
        }
        if let Some(index) = close
            && index < self.state.notices.len()
        {
            self.state.notices.remove(index);
        }
    }
}
