//! The controls that the whole window is made of.

use std::time::Duration;

use egui::{
    Align, Button, Color32, Context, CornerRadius, Frame, Layout, Margin, Rect, Response, RichText, Role, Sense,
    Stroke, Ui, Vec2, WidgetInfo, vec2,
};

use super::colours::Colours;
use super::fonts::{self, Weight};
use super::icons;
use super::style::RADIUS;

/// The side of a button that holds only an icon, in points.
pub(super) const ICON_BUTTON: f32 = 32.0;

/// An icon as text.
pub(super) fn icon(icon: char, size: f32) -> RichText {
    RichText::new(icon).family(fonts::icons()).size(size)
}

/// Draws an icon that only decorates, so that screen readers pass over it.
pub(super) fn sign(ui: &mut Ui, sign: char, size: f32, colour: Color32) {
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(size), Sense::hover());
    let font = egui::FontId::new(size, fonts::icons());
    ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, sign, font, colour);
}

/// Text of weight 500.
pub(super) fn medium(text: impl Into<String>, size: f32) -> RichText {
    RichText::new(text).family(Weight::Medium.family()).size(size)
}

/// Text of weight 600.
pub(super) fn semibold(text: impl Into<String>, size: f32) -> RichText {
    RichText::new(text).family(Weight::SemiBold.family()).size(size)
}

/// Text of less importance.
pub(super) fn hint(ui: &mut Ui, text: impl Into<String>) -> Response {
    let weak = Colours::of(ui.visuals()).weak;
    ui.label(RichText::new(text).size(12.5).color(weak))
}

/// A sign that something is being worked on: three dots, one of which stands out in turn. It draws four times per second. A smooth
/// animation would draw sixty times, on the GPU that the model may run on.
pub(super) fn working(ui: &mut Ui) -> Response {
    const SECONDS_PER_DOT: f64 = 0.25;
    let (rect, response) = ui.allocate_exact_size(vec2(22.0, 14.0), Sense::hover());
    response.widget_info(|| WidgetInfo::new(Role::ProgressIndicator));
    if ui.is_rect_visible(rect) {
        let colours = Colours::of(ui.visuals());
        let turn = ui.input(|input| input.time) / SECONDS_PER_DOT;
        for dot in 0..3_u8 {
            let colour = if turn as u64 % 3 == u64::from(dot) { colours.mid } else { colours.line };
            let centre = rect.center() + vec2(7.0 * (f32::from(dot) - 1.0), 0.0);
            ui.painter().circle_filled(centre, 2.0, colour);
        }
        let left = Duration::from_secs_f64((1.0 - turn.fract()) * SECONDS_PER_DOT);
        ui.ctx().request_repaint_after(left);
    }
    response
}

/// A button that holds only an icon. `name` is its tooltip and its name for screen readers.
pub(super) fn icon_button(ui: &mut Ui, sign: char, name: &str) -> Response {
    icon_button_if(ui, true, sign, name)
}

/// An [`icon_button`] that may be disabled.
pub(super) fn icon_button_if(ui: &mut Ui, enabled: bool, sign: char, name: &str) -> Response {
    sized_icon_button(ui, enabled, sign, name, 18.0, ICON_BUTTON)
}

/// A smaller [`icon_button`], for rows of lists and below messages.
pub(super) fn small_icon_button(ui: &mut Ui, enabled: bool, sign: char, name: &str) -> Response {
    sized_icon_button(ui, enabled, sign, name, 16.0, 28.0)
}

fn sized_icon_button(ui: &mut Ui, enabled: bool, sign: char, name: &str, size: f32, side: f32) -> Response {
    let colour = Colours::of(ui.visuals()).mid;
    let response = ui.scope(|ui| {
        ui.spacing_mut().button_padding = Vec2::splat((side - size) / 2.0);
        let button = Button::new(icon(sign, size).color(colour)).frame_when_inactive(false);
        ui.add_enabled(enabled, button.min_size(Vec2::splat(side)))
    });
    named(response.inner, name)
}

/// Gives a control a name for screen readers, and the same as its tooltip.
pub(super) fn named(response: Response, name: &str) -> Response {
    response.accessible_name(name).on_hover_text(name).on_disabled_hover_text(name)
}

/// The button of the main action.
pub(super) fn primary(ui: &mut Ui, text: &str) -> Response {
    primary_if(ui, true, text)
}

/// A [`primary`] button that may be disabled.
pub(super) fn primary_if(ui: &mut Ui, enabled: bool, text: &str) -> Response {
    let colours = Colours::of(ui.visuals());
    ui.add_enabled(enabled, Button::new(RichText::new(text).color(colours.on_accent)).fill(colours.accent))
}

/// A button without a ground.
pub(super) fn ghost(ui: &mut Ui, text: &str) -> Response {
    ui.add(Button::new(RichText::new(text)).frame_when_inactive(false))
}

/// A button of a menu, with an icon at the left and a shortcut at the right, which may be empty.
pub(super) fn menu_item(ui: &mut Ui, sign: char, text: &str, shortcut: &str) -> Response {
    let mid = Colours::of(ui.visuals()).mid;
    let button = Button::new((icon(sign, 16.0).color(mid), text)).right_text(RichText::new(shortcut).weak().size(12.0));
    ui.add(button).accessible_name(text)
}

/// A menu behind an icon. Returns the button.
pub(super) fn icon_menu(ui: &mut Ui, sign: char, name: &str, content: impl FnOnce(&mut Ui)) -> Response {
    let response = icon_button(ui, sign, name);
    egui::Popup::menu(&response).gap(4.0).width(220.0).show(content);
    response
}

/// A row of alternatives, of which one is chosen. Returns whether the choice changed.
pub(super) fn segmented<T: PartialEq + Copy>(ui: &mut Ui, value: &mut T, choices: &[(T, &str)]) -> bool {
    let colours = Colours::of(ui.visuals());
    let before = *value;
    Frame::new().fill(colours.code).corner_radius(RADIUS + 2).inner_margin(3).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            ui.spacing_mut().button_padding.y = 3.0;
            ui.spacing_mut().interact_size.y = 26.0;
            for (choice, text) in choices {
                let selected = before == *choice;
                let mut button = Button::selectable(selected, *text);
                if selected {
                    button = button.fill(colours.selected).stroke(Stroke::NONE);
                }
                if ui.add(button).clicked() {
                    *value = *choice;
                }
            }
        });
    });
    *value != before
}

/// The title of a group of controls.
pub(super) fn section(ui: &mut Ui, title: &str) {
    ui.add_space(8.0);
    ui.label(semibold(title, 13.5));
}

/// A control with its label at the left and an explanation below the label.
pub(super) fn setting(ui: &mut Ui, label: &str, explanation: &str, control: impl FnOnce(&mut Ui)) {
    ui.horizontal_wrapped(|ui| {
        let width = (ui.available_width() * 0.52).clamp(140.0, 320.0);
        ui.allocate_ui_with_layout(vec2(width, 0.0), Layout::top_down(Align::Min), |ui| {
            ui.set_width(width);
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.label(medium(label, 13.5));
            if !explanation.is_empty() {
                hint(ui, explanation);
            }
        });
        control(ui);
    });
    ui.add_space(6.0);
}

/// A bar that shows a share from 0 to 1. Unlike egui's, it can be empty.
pub(super) fn meter(ui: &mut Ui, share: f32, width: f32, height: f32, colour: Color32, name: &str) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
    if ui.is_rect_visible(rect) {
        let colours = Colours::of(ui.visuals());
        let radius = CornerRadius::from(height / 2.0);
        ui.painter().rect_filled(rect, radius, colours.line);
        let filled = Rect::from_min_size(rect.min, vec2(rect.width() * share.clamp(0.0, 1.0), rect.height()));
        if filled.width() > 0.5 {
            ui.painter().rect_filled(filled, radius, colour);
        }
    }
    response.widget_info(|| {
        let mut info = egui::WidgetInfo::labeled(egui::Role::ProgressIndicator, true, name);
        info.value = Some(f64::from(share));
        info
    });
    response
}

/// The frame of a card.
pub(super) fn card(ui: &Ui) -> Frame {
    let colours = Colours::of(ui.visuals());
    Frame::new()
        .fill(colours.card)
        .stroke(Stroke::new(1.0, colours.line))
        .corner_radius(12)
        .inner_margin(Margin::same(16))
}

/// A small label with a ground.
pub(super) fn chip(ui: &mut Ui, text: &str, colour: Color32) {
    let ground = Colours::of(ui.visuals()).hover;
    Frame::new().fill(ground).corner_radius(6).inner_margin(Margin::symmetric(7, 2)).show(ui, |ui| {
        ui.label(medium(text, 11.5).color(colour));
    });
}

/// A field for a name in a dialog, which gets the focus. Returns whether Enter was pressed in it.
pub(super) fn name_field(ui: &mut Ui, name: &mut String, label: &str) -> bool {
    let field = egui::TextEdit::singleline(name).desired_width(f32::INFINITY).margin(10.0);
    let field = ui.add(field).accessible_name(label);
    let done = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    if !done && !ui.ctx().memory(|memory| memory.focused().is_some()) {
        field.request_focus();
    }
    done
}

/// A dialog in the middle of the window, at most `width` points wide. Returns whether it should be closed.
pub(super) fn dialog(ctx: &Context, title: &str, width: f32, content: impl FnOnce(&mut Ui)) -> bool {
    let mut close = false;
    let modal = egui::Modal::new(egui::Id::unique(title)).frame(dialog_frame(ctx)).show(ctx, |ui| {
        ui.set_width(width.min(ctx.content_rect().width() - 72.0));
        ui.horizontal(|ui| {
            ui.label(semibold(title, 17.0));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                close = icon_button(ui, icons::X, "Close").clicked();
            });
        });
        ui.add_space(4.0);
        content(ui);
    });
    close || modal.should_close()
}

/// The frame of a dialog.
pub(super) fn dialog_frame(ctx: &Context) -> Frame {
    let style = ctx.global_style();
    Frame::popup(&style).inner_margin(Margin::same(20)).corner_radius(super::style::LARGE_RADIUS)
}

/// Scrolls to a control when it gains the focus.
pub(super) fn scroll_on_focus(response: Response) -> Response {
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    response
}

/// A number with separated thousands.
pub(super) fn with_thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of tokens in few letters: "812", "1.2k", "128k".
pub(super) fn in_short(number: usize) -> String {
    match number {
        0..1000 => number.to_string(),
        1000..10_000 if !number.is_multiple_of(1000) && !number.is_multiple_of(1024) => {
            format!("{:.1}k", number as f64 / 1e3)
        }
        _ if number.is_multiple_of(1024) => format!("{}k", number / 1024),
        _ => format!("{:.0}k", number as f64 / 1e3),
    }
}

/// A model's name without the weight format at its end, and the format, such as "Q4_K_M".
pub(super) fn split_format(name: &str) -> (&str, Option<&str>) {
    let is_format = |end: &str| {
        let end = end.to_lowercase();
        let quantized = end.strip_prefix("iq").or(end.strip_prefix('q'));
        quantized.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            || ["f32", "f16", "bf16"].contains(&end.as_str())
    };
    match name.rsplit_once(['-', '.']) {
        Some((start, end)) if is_format(end) && !start.is_empty() => (start, Some(end)),
        _ => (name, None),
    }
}

/// Cuts a text to at most `most` characters by leaving out its middle, because names of models differ at their ends. Where
/// it can, it cuts at separators, so that no size is cut into another one: "270m" never becomes "27…".
pub(super) fn shorten_middle(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    let separates = |letter: &char| matches!(letter, '-' | '_' | '.' | '/' | ' ');
    let kept = most.saturating_sub(1);
    let (head, tail) = (&letters[..kept.div_ceil(2)], &letters[letters.len() - kept / 2..]);
    let head = &head[..head.iter().rposition(separates).map_or(head.len(), |at| at + 1)];
    let tail = &tail[tail.iter().position(separates).unwrap_or(0)..];
    head.iter().chain(&['…']).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_readers() {
        assert_eq!([7, 1234, 1_000_000].map(with_thousands), ["7", "1,234", "1,000,000"]);
        assert_eq!([812, 1210, 8192, 131_072, 15_300].map(in_short), ["812", "1.2k", "8k", "128k", "15k"]);
    }

    #[test]
    fn the_format_is_split_from_the_name() {
        assert_eq!(split_format("gemma-2-9b-it-Q4_K_M"), ("gemma-2-9b-it", Some("Q4_K_M")));
        assert_eq!(split_format("gemma-2-2b.bf16"), ("gemma-2-2b", Some("bf16")));
        assert_eq!(split_format("gemma-2-2b-it"), ("gemma-2-2b-it", None));
        assert_eq!(split_format("Guide (built in)"), ("Guide (built in)", None));
    }

    #[test]
    fn no_name_is_cut_into_the_name_of_another_model() {
        assert_eq!(shorten_middle("gemma-2-2b", 12), "gemma-2-2b");
        assert_eq!(shorten_middle("gemma-3-270m-it-Q4_K_M", 20), "gemma-3-…-Q4_K_M");
        for most in 4..22 {
            let short = shorten_middle("gemma-3-270m-it-Q4_K_M", most);
            assert!(short.chars().count() <= most, "{short}");
            assert!(short.contains("270m") || !short.contains("27"), "{short}");
        }
        assert_eq!(shorten_middle("abcdefghij", 5), "ab…ij");
    }
}
