//! The colours of both themes, by their use.

use egui::{Color32, Visuals};

/// The colours of a theme. Text colours have a contrast of at least 4.5:1 on every ground that they are drawn on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Colours {
    /// The window.
    pub(crate) bg: Color32,
    /// The list of chats.
    pub(crate) sidebar: Color32,
    /// Cards, bubbles, menus and dialogs.
    pub(crate) card: Color32,
    /// Code blocks and fields.
    pub(crate) code: Color32,
    /// What the pointer is over.
    pub(crate) hover: Color32,
    /// The selected row of a list.
    pub(crate) selected: Color32,
    /// The ground of text that is looked for.
    pub(crate) found: Color32,
    /// The box of a check box and the rail of a slider.
    pub(crate) control: Color32,
    /// Borders and separators.
    pub(crate) line: Color32,
    /// Text.
    pub(crate) text: Color32,
    /// Labels of controls, and text of less importance.
    pub(crate) mid: Color32,
    /// Hints.
    pub(crate) weak: Color32,
    /// The ground of the primary button.
    pub(crate) accent: Color32,
    /// Text and icons on `accent`.
    pub(crate) on_accent: Color32,
    /// Links, the focus ring, and what is switched on.
    pub(crate) accent_text: Color32,
    /// Errors.
    pub(crate) danger: Color32,
    /// Warnings.
    pub(crate) warn: Color32,
    /// What is well.
    pub(crate) ok: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

impl Colours {
    /// The dark theme.
    pub(crate) const DARK: Self = Self {
        bg: rgb(0x17181c),
        sidebar: rgb(0x121317),
        card: rgb(0x202228),
        code: rgb(0x101115),
        hover: rgb(0x262930),
        selected: rgb(0x22304d),
        found: rgb(0x3d3210),
        control: rgb(0x6b7384),
        line: rgb(0x2b2e36),
        text: rgb(0xe7e9ee),
        mid: rgb(0xa9aebb),
        weak: rgb(0x9298a7),
        accent: rgb(0x3f6fd8),
        on_accent: Color32::WHITE,
        accent_text: rgb(0x7fa6f5),
        danger: rgb(0xff8a80),
        warn: rgb(0xe8b04b),
        ok: rgb(0x4fb58a),
    };

    /// The light theme.
    pub(crate) const LIGHT: Self = Self {
        bg: Color32::WHITE,
        sidebar: rgb(0xf6f7f9),
        card: rgb(0xf1f3f6),
        code: rgb(0xf6f7f9),
        hover: rgb(0xe9ecf1),
        selected: rgb(0xe5edfc),
        found: rgb(0xffe9a8),
        control: rgb(0x858d9b),
        line: rgb(0xe1e4ea),
        text: rgb(0x1b1e25),
        mid: rgb(0x4d5462),
        weak: rgb(0x5f6673),
        accent: rgb(0x2f66d0),
        on_accent: Color32::WHITE,
        accent_text: rgb(0x2559bd),
        danger: rgb(0xb3261e),
        warn: rgb(0x7d5100),
        ok: rgb(0x17714b),
    };

    /// The colours that belong to egui's current theme.
    pub(crate) fn of(visuals: &Visuals) -> &'static Self {
        if visuals.dark_mode { &Self::DARK } else { &Self::LIGHT }
    }
}

#[cfg(test)]
/// The contrast of two colours as WCAG 2.1 defines it, from 1 to 21.
pub(crate) fn contrast(one: Color32, other: Color32) -> f32 {
    let luminance = |colour: Color32| {
        let linear = |value: u8| {
            let value = f32::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(colour.r()) + 0.7152 * linear(colour.g()) + 0.0722 * linear(colour.b())
    };
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    one.max(other) / one.min(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_that_of_the_standard() {
        assert!((contrast(Color32::BLACK, Color32::WHITE) - 21.0).abs() < 0.01);
        assert!((contrast(rgb(0x777777), Color32::WHITE) - 4.48).abs() < 0.01);
    }

    #[test]
    fn text_can_be_read_on_every_ground() {
        for (theme, colours) in [("dark", Colours::DARK), ("light", Colours::LIGHT)] {
            let grounds = [
                ("bg", colours.bg),
                ("sidebar", colours.sidebar),
                ("card", colours.card),
                ("code", colours.code),
                ("hover", colours.hover),
                ("selected", colours.selected),
            ];
            let texts = [
                ("text", colours.text),
                ("mid", colours.mid),
                ("weak", colours.weak),
                ("accent_text", colours.accent_text),
                ("danger", colours.danger),
                ("warn", colours.warn),
                ("ok", colours.ok),
            ];
            for (ground_name, ground) in grounds {
                for (name, text) in texts {
                    let reached = contrast(text, ground);
                    assert!(reached >= 4.5, "{theme}: {name} on {ground_name} has {reached:.2}");
                }
            }
            for text in [colours.text, colours.accent_text] {
                assert!(contrast(text, colours.found) >= 4.5, "{theme}: text that was found");
            }
            for ground in [colours.bg, colours.sidebar, colours.card] {
                let reached = contrast(colours.control, ground);
                assert!(reached >= 3.0, "{theme}: a control has {reached:.2}");
            }
            // Of signs, the standard asks for 3:1.
            assert!(contrast(colours.text, colours.control) >= 3.0, "{theme}: the tick of a check box");
            assert!(contrast(colours.on_accent, colours.accent) >= 4.5, "{theme}: the primary button");
        }
    }
}
