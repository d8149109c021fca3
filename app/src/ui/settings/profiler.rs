//! The times of kernels.

use egui::{RichText, Ui};

use crate::ui::colours::Colours;
use crate::ui::{App, kit};

impl App {
    pub(super) fn profiler_page(&mut self, ui: &mut Ui) {
        kit::section(ui, "Kernels");
        kit::hint(ui, "Milliseconds that the device spends on one token, by kernel.");
        let here = self.state.loaded().is_some_and(|loaded| loaded.server().is_none());
        let ready = here && self.state.reply().is_none();
        if kit::primary_if(ui, ready, "Measure a token").clicked() {
            self.state.measure();
        }
        ui.add_space(6.0);
        match &self.state.profile {
            None => {}
            Some(None) => {
                kit::working(ui);
            }
            Some(Some(Err(reason))) => {
                ui.label(reason);
            }
            Some(Some(Ok(kernels))) => chart(ui, kernels),
        }
    }
}

fn chart(ui: &mut Ui, kernels: &[(String, usize, f64)]) {
    let accent = Colours::of(ui.visuals()).accent_text;
    let total: f64 = kernels.iter().map(|(_, _, ms)| ms).sum();
    let longest = kernels.first().map_or(1.0, |(_, _, ms)| *ms).max(1e-9);
    ui.label(format!("{total:.2} ms in all; timestamps separate the kernels, so a real token takes less."));
    egui::Grid::new("kernels").num_columns(3).spacing([12.0, 4.0]).show(ui, |ui| {
        for (kernel, count, ms) in kernels {
            ui.label(RichText::new(format!("{kernel} × {count}")).monospace());
            kit::meter(ui, (ms / longest) as f32, 160.0, 8.0, accent, &format!("{kernel}: {ms:.2} milliseconds"));
            ui.label(format!("{ms:.2} ms"));
            ui.end_row();
        }
    });
}
