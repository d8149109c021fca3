//! Notices at the bottom of the window.

use egui::{Align2, Context, RichText};

use super::{App, style};

impl App {
    pub(super) fn notice_area(&mut self, ctx: &Context) {
        if self.state.notices.is_empty() {
            return;
        }
        let (mut undo, mut close) = (None, None);
        let area = egui::Area::new(egui::Id::unique("notices")).anchor(Align2::RIGHT_BOTTOM, [-16.0, -96.0]);
        area.order(egui::Order::Foreground).show(ctx, |ui| {
            for (index, notice) in self.state.notices.iter().enumerate() {
                egui::Frame::popup(ui.style()).inner_margin(10).show(ui, |ui| {
                    ui.set_max_width(380.0);
                    ui.horizontal(|ui| {
                        let text = RichText::new(&notice.text);
                        let text = if notice.is_error { text.color(style::error_color(ui.visuals())) } else { text };
                        ui.add(egui::Label::new(text).wrap());
                        if notice.undo.is_some() && ui.button("Undo").clicked() {
                            undo = notice.undo;
                        }
                        if ui.small_button("×").accessible_name("Close the notice").clicked() {
                            close = Some(index);
                        }
                    });
                });
            }
        });
        if let Some(chat) = undo {
            self.state.restore(chat);
        }
        if let Some(index) = close
            && index < self.state.notices.len()
        {
            self.state.notices.remove(index);
        }
    }
}
