//! The colours of code in the dark and the light theme.

use std::str::FromStr;

use egui::Color32;
use syntect::highlighting::{Color, ScopeSelectors, Style, StyleModifier, Theme, ThemeItem, ThemeSettings};

/// What a part of code is, as far as colours differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
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

/// The scopes of grammars that belong to each class.
const SCOPES: [(&str, Class); 9] = [
    ("comment, punctuation.definition.comment, markup.quote, meta.diff.header", Class::Comment),
    (
        "keyword, storage, keyword.operator.word, variable.language, entity.name.tag, punctuation.definition.tag, \
         markup.heading, constant.language, support.constant.boolean, meta.preprocessor keyword",
        Class::Keyword,
    ),
    (
        "string, punctuation.definition.string, markup.raw, constant.character, markup.underline.link, string.regexp",
        Class::String,
    ),
    ("constant.numeric, constant.other, keyword.other.unit, constant.character.escape", Class::Number),
    (
        "entity.name.function, support.function, support.macro, entity.name.macro, variable.function, meta.function-call.identifier",
        Class::Function,
    ),
    (
        "entity.name.type, entity.name.class, entity.name.struct, entity.name.enum, entity.name.trait, entity.name.namespace, \
         support.type, support.class, storage.type.primitive, entity.other.inherited-class",
        Class::Type,
    ),
    (
        "entity.other.attribute-name, meta.annotation, variable.annotation, meta.mapping.key string, \
         entity.name.tag.yaml, entity.name.tag.toml, support.type.property-name, variable.other.readwrite.shell, \
         variable.parameter.option",
        Class::Attribute,
    ),
    ("markup.inserted", Class::Inserted),
    ("markup.deleted", Class::Deleted),
];

/// A theme whose red component is the class.
pub(super) fn classes() -> Theme {
    let colour = |class: Class| Some(Color { r: class as u8, g: 0, b: 0, a: 255 });
    let mut items: Vec<(&str, Class)> = SCOPES.to_vec();
    // Operators are the plain text of code, although they are a kind of keyword.
    items.push(("keyword.operator, punctuation, meta.brace", Class::Plain));
    let item = |(scopes, class): (&str, Class)| ThemeItem {
        scope: ScopeSelectors::from_str(scopes).unwrap_or_default(),
        style: StyleModifier { foreground: colour(class), ..StyleModifier::default() },
    };
    Theme {
        settings: ThemeSettings { foreground: colour(Class::Plain), ..ThemeSettings::default() },
        scopes: items.into_iter().map(item).collect(),
        ..Theme::default()
    }
}

/// The class in a style of [`classes`].
pub(super) fn class_of(style: Style) -> Class {
    CLASSES.get(usize::from(style.foreground.r)).copied().unwrap_or(Class::Plain)
}

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
    use crate::ui::tokens::{Tokens, contrast};

    #[test]
    fn every_colour_of_code_can_be_read_in_both_themes() {
        let backgrounds = [(true, Tokens::DARK.code), (false, Tokens::LIGHT.code)];
        for (dark, background) in backgrounds {
            for class in CLASSES {
                let contrast = contrast(colour(class, dark), background);
                assert!(contrast >= 4.5, "{class:?}, dark {dark}: {contrast:.2}");
            }
        }
    }

    #[test]
    fn every_scope_selector_is_valid() {
        for (scopes, _) in SCOPES {
            assert!(ScopeSelectors::from_str(scopes).is_ok(), "{scopes}");
        }
        for (index, class) in CLASSES.into_iter().enumerate() {
            assert_eq!(class as usize, index);
        }
    }
}
