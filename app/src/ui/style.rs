//! Applies fonts, sizes and colours to egui.

use egui::{Color32, Context, CornerRadius, FontFamily, FontId, Margin, Shadow, Stroke, TextStyle, ThemePreference};

use super::colours::Colours;
use super::fonts::{self, Weight};
use crate::settings::{Settings, Theme};

/// The greatest width of text in points, because longer lines are hard to read.
pub(super) const COLUMN: f32 = 720.0;
/// The corner radius of buttons, rows and fields.
pub(super) const RADIUS: u8 = 8;
/// The corner radius of dialogs and of the composer.
pub(super) const LARGE_RADIUS: u8 = 16;

/// Sets fonts, sizes and the colours of both themes.
pub fn apply(ctx: &Context) {
    fonts::install(ctx);
    ctx.all_styles_mut(|style| {
        style.text_styles = [
            (TextStyle::Small, FontId::new(12.0, FontFamily::Proportional)),
            (TextStyle::Body, FontId::new(14.0, FontFamily::Proportional)),
            (TextStyle::Button, FontId::new(13.5, Weight::Medium.family())),
            (TextStyle::Heading, FontId::new(18.0, Weight::SemiBold.family())),
            (TextStyle::Monospace, FontId::new(13.5, FontFamily::Monospace)),
        ]
        .into();
        let spacing = &mut style.spacing;
        spacing.item_spacing = egui::vec2(8.0, 8.0);
        spacing.button_padding = egui::vec2(12.0, 6.0);
        spacing.interact_size.y = 32.0;
        spacing.icon_width = 18.0;
        spacing.window_margin = Margin::same(20);
        spacing.menu_margin = Margin::same(6);
        spacing.scroll = egui::style::ScrollStyle::thin();
        spacing.slider_width = 150.0;
        spacing.combo_width = 180.0;
        set_colours(&mut style.visuals);
    });
}

/// Derives all of egui's colours from those of the theme.
fn set_colours(visuals: &mut egui::Visuals) {
    let colours = *Colours::of(visuals);
    visuals.panel_fill = colours.bg;
    visuals.window_fill = if visuals.dark_mode { colours.card } else { colours.bg };
    visuals.window_stroke = Stroke::new(1.0, colours.line);
    visuals.extreme_bg_color = colours.code;
    visuals.text_edit_bg_color = Some(colours.code);
    visuals.faint_bg_color = colours.card;
    visuals.code_bg_color = colours.card;
    visuals.hyperlink_color = colours.accent_text;
    visuals.error_fg_color = colours.danger;
    visuals.warn_fg_color = colours.warn;
    visuals.weak_text_color = Some(colours.weak);
    visuals.selection.bg_fill = if visuals.dark_mode { Color32::from_rgb(45, 75, 140) } else { colours.selected };
    visuals.selection.stroke = Stroke::new(1.0, colours.text);
    visuals.slider_trailing_fill = true;
    visuals.handle_shape = egui::style::HandleShape::Circle;
    visuals.window_corner_radius = CornerRadius::same(LARGE_RADIUS);
    visuals.menu_corner_radius = CornerRadius::same(10);
    let shadow = Color32::from_black_alpha(if visuals.dark_mode { 110 } else { 32 });
    visuals.popup_shadow = Shadow { offset: [0, 6], blur: 20, spread: 0, color: shadow };
    visuals.window_shadow = Shadow { offset: [0, 10], blur: 32, spread: 0, color: shadow };
    let widgets = &mut visuals.widgets;
    for (widget, fill, stroke, text) in [
        (&mut widgets.noninteractive, colours.bg, Stroke::new(1.0, colours.line), colours.text),
        (&mut widgets.inactive, colours.card, Stroke::new(1.0, colours.line), colours.text),
        (&mut widgets.hovered, colours.hover, Stroke::new(1.0, colours.line), colours.text),
        // Also of the widget that has the focus, which needs a visible ring.
        (&mut widgets.active, colours.hover, Stroke::new(2.0, colours.accent_text), colours.text),
        (&mut widgets.open, colours.hover, Stroke::new(1.0, colours.line), colours.text),
    ] {
        widget.corner_radius = CornerRadius::same(RADIUS);
        widget.weak_bg_fill = fill;
        widget.bg_fill = fill;
        widget.bg_stroke = stroke;
        widget.fg_stroke = Stroke::new(1.0, text);
        widget.expansion = 0.0;
    }
    // The rail of a slider and the box of a check box need more contrast than a button's ground.
    widgets.inactive.bg_fill = colours.control;
    widgets.hovered.bg_fill = colours.control;
    widgets.active.bg_fill = colours.control;
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
