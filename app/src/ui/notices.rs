//! Notices above the composer.

use egui::{Align2, Context, Margin, RichText};

use super::tokens::Tokens;
use super::{App, icons, kit};

impl App {
    /// Draws the notices above `bottom`, in points from the top of the window.
    pub(super) fn notice_area(&mut self, ctx: &Context, bottom: f32) {
        if self.state.notices.is_empty() {
            return;
        }
        let (mut undo, mut close) = (None, None);
        let offset = bottom - ctx.content_rect().bottom() - 8.0;
        let area = egui::Area::new(egui::Id::unique("notices")).anchor(Align2::CENTER_BOTTOM, [0.0, offset]);
        area.order(egui::Order::Foreground).show(ctx, |ui| {
            for (index, notice) in self.state.notices.iter().enumerate() {
                let tokens = Tokens::of(ui.visuals());
                let frame = egui::Frame::popup(ui.style()).corner_radius(10).inner_margin(Margin {
                    left: 14,
                    right: 6,
                    top: 4,
                    bottom: 4,
                });
                frame.show(ui, |ui| {
                    ui.set_max_width(560.0_f32.min(ctx.content_rect().width() - 40.0));
                    ui.horizontal(|ui| {
                        let colour = if notice.is_error { tokens.danger } else { tokens.text };
                        if notice.is_error {
                            kit::sign(ui, icons::CIRCLE_ALERT, 16.0, colour);
                        }
                        ui.add(egui::Label::new(RichText::new(&notice.text).size(13.5).color(colour)).wrap());
                        if notice.undo.is_some() && kit::ghost(ui, "Undo").clicked() {
                            undo = notice.undo;
                        }
                        if kit::small_icon_button(ui, true, icons::X, "Close the notice").clicked() {
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
