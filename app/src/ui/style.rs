//! Colours, sizes, fonts.

use egui::{Color32, Context, CornerRadius, FontFamily, FontId, Stroke, TextStyle, ThemePreference};

use crate::settings::{Settings, Theme};

/// The greatest width of text in points, because longer lines are hard to read.
pub(super) const COLUMN: f32 = 760.0;

/// Sets fonts, sizes and colours of both themes.
pub fn apply(ctx: &Context) {
    ctx.all_styles_mut(|style| {
        style.text_styles = [
            (TextStyle::Small, FontId::new(12.0, FontFamily::Proportional)),
            (TextStyle::Body, FontId::new(15.0, FontFamily::Proportional)),
            (TextStyle::Button, FontId::new(14.0, FontFamily::Proportional)),
            (TextStyle::Heading, FontId::new(21.0, FontFamily::Proportional)),
            (TextStyle::Monospace, FontId::new(13.5, FontFamily::Monospace)),
        ]
        .into();
        style.spacing.item_spacing = egui::vec2(8.0, 6.0);
        style.spacing.button_padding = egui::vec2(9.0, 4.0);
        style.spacing.interact_size.y = 26.0;
        style.spacing.window_margin = 16.into();
        for widgets in [
            &mut style.visuals.widgets.noninteractive,
            &mut style.visuals.widgets.inactive,
            &mut style.visuals.widgets.hovered,
            &mut style.visuals.widgets.active,
            &mut style.visuals.widgets.open,
        ] {
            widgets.corner_radius = CornerRadius::same(6);
        }
        let visuals = &mut style.visuals;
        if visuals.dark_mode {
            visuals.panel_fill = Color32::from_rgb(28, 29, 33);
            visuals.window_fill = Color32::from_rgb(36, 37, 42);
            visuals.extreme_bg_color = Color32::from_rgb(20, 21, 24);
            visuals.faint_bg_color = Color32::from_rgb(38, 40, 46);
            visuals.widgets.noninteractive.fg_stroke = Stroke::new(1.0, Color32::from_gray(224));
            visuals.widgets.inactive.fg_stroke = Stroke::new(1.0, Color32::from_gray(215));
            visuals.hyperlink_color = Color32::from_rgb(120, 180, 255);
            visuals.selection.bg_fill = Color32::from_rgb(38, 82, 138);
            visuals.selection.stroke = Stroke::new(1.0, Color32::from_gray(245));
            visuals.weak_text_color = Some(Color32::from_gray(160));
        } else {
            visuals.panel_fill = Color32::from_rgb(252, 252, 253);
            visuals.window_fill = Color32::WHITE;
            visuals.extreme_bg_color = Color32::from_rgb(240, 241, 245);
            visuals.hyperlink_color = Color32::from_rgb(0, 88, 184);
            visuals.faint_bg_color = Color32::from_rgb(242, 245, 250);
            visuals.widgets.noninteractive.fg_stroke = Stroke::new(1.0, Color32::from_gray(28));
            visuals.widgets.inactive.fg_stroke = Stroke::new(1.0, Color32::from_gray(40));
            visuals.selection.bg_fill = Color32::from_rgb(196, 220, 250);
            visuals.selection.stroke = Stroke::new(1.0, Color32::from_rgb(10, 40, 90));
            visuals.weak_text_color = Some(Color32::from_gray(96));
            visuals.code_bg_color = Color32::from_rgb(236, 238, 242);
        }
        visuals.window_corner_radius = CornerRadius::same(10);
        visuals.menu_corner_radius = CornerRadius::same(8);
    });
}

/// The colour of errors.
pub(super) fn error_color(visuals: &egui::Visuals) -> Color32 {
    if visuals.dark_mode { Color32::from_rgb(255, 140, 130) } else { Color32::from_rgb(176, 28, 20) }
}

/// The theme, zoom and reduced motion last applied to egui. Applying them every frame would undo egui's own changes.
#[derive(Default)]
pub(super) struct AppliedStyle(Option<(Theme, f32, bool)>);

impl AppliedStyle {
    /// Applies the settings to egui if they changed.
    pub(super) fn update(&mut self, ctx: &Context, settings: &Settings) {
        let wanted = (settings.theme, settings.zoom, settings.reduced_motion);
        if self.0 == Some(wanted) {
            return;
        }
        self.0 = Some(wanted);
        ctx.set_theme(match settings.theme {
            Theme::System => ThemePreference::System,
            Theme::Light => ThemePreference::Light,
            Theme::Dark => ThemePreference::Dark,
        });
        ctx.set_zoom_factor(settings.zoom);
        // The window handles the zoom keys itself, so that the zoom is saved.
        ctx.options_mut(|options| options.zoom_with_keyboard = false);
        ctx.all_styles_mut(|style| {
            style.animation_time = if settings.reduced_motion { 0.0 } else { 0.1 };
            if settings.reduced_motion {
                style.scroll_animation = egui::style::ScrollAnimation::none();
                style.visuals.text_cursor.blink = false;
            } else {
                style.scroll_animation = egui::style::ScrollAnimation::default();
                style.visuals.text_cursor.blink = true;
            }
        });
    }
}
