//! The fonts that come with the program. Letters that they lack come from the system.

use std::sync::Arc;

use egui::epaint::text::{FontPriority, InsertFontFamily, VariationCoords};
use egui::{Context, FontData, FontDefinitions, FontFamily, FontTweak};

const INTER: &[u8] = include_bytes!("../../assets/fonts/Inter.ttf");
const JETBRAINS_MONO: &[u8] = include_bytes!("../../assets/fonts/JetBrainsMono.ttf");
const LUCIDE: &[u8] = include_bytes!("../../assets/fonts/Lucide.ttf");

/// A weight of the text font.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// 500, of labels and buttons.
    Medium,
    /// 600, of titles.
    SemiBold,
}

impl Weight {
    const ALL: [Self; 2] = [Self::Medium, Self::SemiBold];

    fn name(self) -> &'static str {
        match self {
            Self::Medium => "medium",
            Self::SemiBold => "semibold",
        }
    }

    /// The family in which text has this weight.
    pub(crate) fn family(self) -> FontFamily {
        FontFamily::Name(self.name().into())
    }

    fn value(self) -> f32 {
        match self {
            Self::Medium => 500.0,
            Self::SemiBold => 600.0,
        }
    }
}

/// The family of icons; see [`super::icons`].
pub(crate) fn icons() -> FontFamily {
    FontFamily::Name("icons".into())
}

/// Installs the fonts.
pub(crate) fn install(ctx: &Context) {
    let mut fonts = FontDefinitions::empty();
    let mut add = |name: &str, bytes: &'static [u8], tweak: FontTweak| {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes).tweak(tweak)));
    };
    add("inter", INTER, FontTweak::default());
    for weight in Weight::ALL {
        let coords = VariationCoords::new([(b"wght", weight.value())]);
        add(weight.name(), INTER, FontTweak { coords, ..FontTweak::default() });
    }
    add("mono", JETBRAINS_MONO, FontTweak::default());
    add("lucide", LUCIDE, FontTweak::default());
    // The signs that egui's own widgets draw, such as the arrow of a combo box.
    add("egui", epaint_default_fonts::EGUI_ICONS, FontTweak { scale: 0.9, ..FontTweak::default() });
    let mut family = |family: FontFamily, names: &[&str]| {
        fonts.families.insert(family, names.iter().map(|name| (*name).to_owned()).collect());
    };
    family(FontFamily::Proportional, &["inter", "egui"]);
    family(FontFamily::Monospace, &["mono", "inter", "egui"]);
    for weight in Weight::ALL {
        family(weight.family(), &[weight.name(), "egui"]);
    }
    family(icons(), &["lucide"]);
    ctx.set_fonts(fonts);
    // Asked after the system's fonts, so that a system's colour emoji are preferred.
    ctx.add_font_provider(Arc::new(|request: &egui::epaint::text::FallbackRequest<'_>| {
        let first = request.cluster.chars().next()?;
        is_emoji(first).then(|| {
            let data = FontData::from_static(epaint_default_fonts::NOTO_EMOJI_REGULAR);
            let data = data.tweak(FontTweak { scale: 0.81, ..FontTweak::default() });
            let family = InsertFontFamily { family: request.family.clone(), priority: FontPriority::Lowest };
            egui::epaint::text::FontInsert::new("emoji", data, vec![family])
        })
    }));
}

/// Whether the bundled emoji font has a glyph for a character, so that egui does not warn about one that lacks it.
fn is_emoji(character: char) -> bool {
    use std::sync::OnceLock;
    static KNOWN: OnceLock<std::collections::HashSet<char>> = OnceLock::new();
    KNOWN
        .get_or_init(|| {
            let mut fonts = egui::epaint::text::Fonts::new(egui::epaint::text::TextOptions::default(), {
                let mut fonts = FontDefinitions::empty();
                let data = FontData::from_static(epaint_default_fonts::NOTO_EMOJI_REGULAR);
                fonts.font_data.insert("emoji".to_owned(), Arc::new(data));
                fonts.families.insert(FontFamily::Proportional, vec!["emoji".to_owned()]);
                fonts
            });
            fonts.with_pixels_per_point(1.0).characters(&FontFamily::Proportional).keys().copied().collect()
        })
        .contains(&character)
}
