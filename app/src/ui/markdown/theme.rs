//! The colours of code in the dark and the light theme.

mod scopes;

use egui::Color32;
use serde::{Deserialize, Serialize};

pub(super) use scopes::{class_of, classes};

/// What a part of code is, as far as colours differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Class {
    Plain,
    Comment,
    Keyword,
    String,
    Number,
    Function,
    Type,
    Attribute,
    Inserted,
    Deleted,
}

const CLASSES: [Class; 10] = [
    Class::Plain,
    Class::Comment,
    Class::Keyword,
    Class::String,
    Class::Number,
    Class::Function,
    Class::Type,
    Class::Attribute,
    Class::Inserted,
    Class::Deleted,
];

/// The colour of a class.
pub(super) fn colour(class: Class, dark: bool) -> Color32 {
    let (dark_colour, light_colour) = match class {
        Class::Plain => (0xE7E9EE, 0x1B1E25),
        Class::Comment => (0x8A90A0, 0x5C6472),
        Class::Keyword => (0xC99BF5, 0x7E2BB0),
        Class::String => (0x93CF8B, 0x1D6B3A),
        Class::Number => (0xF0A774, 0x944700),
        Class::Function => (0x7FA6F5, 0x1F55B5),
        Class::Type => (0x6CC7D6, 0x0B6370),
        Class::Attribute => (0xE8B04B, 0x7D5200),
        Class::Inserted => (0x7FD18B, 0x1A6B40),
        Class::Deleted => (0xFF8A80, 0xB3261E),
    };
    let [_, red, green, blue] = u32::to_be_bytes(if dark { dark_colour } else { light_colour });
    Color32::from_rgb(red, green, blue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::colours::{Colours, contrast};

    #[test]
    fn every_colour_of_code_can_be_read_in_both_themes() {
        let backgrounds = [(true, Colours::DARK.code), (false, Colours::LIGHT.code)];
        for (dark, background) in backgrounds {
            for class in CLASSES {
                let contrast = contrast(colour(class, dark), background);
                assert!(contrast >= 4.5, "{class:?}, dark {dark}: {contrast:.2}");
            }
        }
    }
}
