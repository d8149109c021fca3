//! The panel of kernel times.

use egui::{RichText, Ui};

use super::{App, Panel};

impl App {
    pub(super) fn profiler_panel(&mut self, ui: &mut Ui) {
        let (mut measure, mut close) = (false, false);
        egui::Panel::right("profiler").default_size(340.0).size_range(280.0..=520.0).show(ui, |ui| {
            close = super::panel_head(ui, "Profiler");
            ui.label(RichText::new("Milliseconds that the device spends on one token, by kernel.").weak());
            let ready = self.state.loaded().is_some() && self.state.reply().is_none();
            measure = ui.add_enabled(ready, egui::Button::new("Measure a token")).clicked();
            ui.add_space(6.0);
            match &self.state.profile {
                None => {}
                Some(None) => {
                    ui.spinner();
                }
                Some(Some(Err(reason))) => {
                    ui.label(reason);
                }
                Some(Some(Ok(kernels))) => chart(ui, kernels),
            }
        });
        if measure {
            self.state.measure();
        }
        if close {
            self.toggle(Panel::Profiler);
        }
    }
}

fn chart(ui: &mut Ui, kernels: &[(&'static str, usize, f64)]) {
    let total: f64 = kernels.iter().map(|(_, _, ms)| ms).sum();
    let longest = kernels.first().map_or(1.0, |(_, _, ms)| *ms).max(1e-9);
    ui.label(format!("{total:.2} ms in all; timestamps separate the kernels, so a real token takes less."));
    ui.add_space(4.0);
    egui::ScrollArea::vertical().show(ui, |ui| {
        for (kernel, count, ms) in kernels {
            ui.label(format!("{kernel} × {count}"));
            let bar = egui::ProgressBar::new((ms / longest) as f32).text(format!("{ms:.2} ms")).corner_radius(3);
            ui.add(bar).accessible_name(format!("{kernel}: {ms:.2} milliseconds"));
        }
    });
}
