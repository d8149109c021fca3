//! Which parts of the grammars' trees have which colour.

use std::str::FromStr;

use syntect::highlighting::{Color, ScopeSelectors, Style, StyleModifier, Theme, ThemeItem, ThemeSettings};

use super::{CLASSES, Class};

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
pub(in crate::ui::markdown) fn classes() -> Theme {
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
pub(in crate::ui::markdown) fn class_of(style: Style) -> Class {
    CLASSES.get(usize::from(style.foreground.r)).copied().unwrap_or(Class::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

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
