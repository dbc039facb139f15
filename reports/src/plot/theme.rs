//! Colours, fonts and the width of text.
//!
//! The colours are the Okabe–Ito palette, which people with common colour-vision deficiencies can tell apart; marks also
//! differ in shape. `page/style.css` maps exactly these values to their dark counterparts.

use std::sync::OnceLock;

use plotters::style::{FontFamily, FontStyle, RGBColor, register_font};

/// A colour: red, green, blue.
pub type Color = RGBColor;

/// Background.
pub const PAPER: Color = RGBColor(255, 255, 255);
/// Text.
pub const INK: Color = RGBColor(31, 41, 51);
/// Secondary text and axes.
pub const MUTED: Color = RGBColor(91, 103, 117);
/// Grid.
pub const GRID: Color = RGBColor(226, 231, 236);
/// Candidates: grey-blue.
pub const CANDIDATE: Color = RGBColor(157, 176, 196);
/// The front: Okabe–Ito blue.
pub const FRONT: Color = RGBColor(0, 114, 178);
/// Published variants under this run's protocol: Okabe–Ito vermillion.
pub const VARIANT: Color = RGBColor(213, 94, 0);
/// Retrained winners: Okabe–Ito bluish green.
pub const RETRAINED: Color = RGBColor(0, 158, 115);

/// Colours for runs or families side by side: Okabe–Ito without yellow, which is too light on white, plus brown, grey and
/// the colour of text.
pub const SERIES: [Color; 9] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(127, 83, 51),
    RGBColor(91, 103, 117),
    RGBColor(31, 41, 51),
];

/// The font family as a CSS list. PNG uses the embedded font under this name; SVG uses what the viewer has.
pub const FAMILY: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";
/// Height of the embedded font, ascent to descent, in ems: what plotters' `ab_glyph` takes as a font's size.
pub const HEIGHT_EM: f64 = (1901.0 + 483.0) / 2048.0;

static REGULAR: &[u8] = include_bytes!("../../assets/DejaVuSans.subset.ttf");
static BOLD: &[u8] = include_bytes!("../../assets/DejaVuSans-Bold.subset.ttf");

/// Registers the embedded fonts with plotters, once. False if they are not fonts, which a test rules out.
pub fn fonts() -> bool {
    static READY: OnceLock<bool> = OnceLock::new();
    *READY.get_or_init(|| {
        register_font(FAMILY, FontStyle::Normal, REGULAR).is_ok()
            && register_font(FAMILY, FontStyle::Bold, BOLD).is_ok()
    })
}

/// Font style of plotters.
pub fn style(bold: bool) -> FontStyle {
    if bold { FontStyle::Bold } else { FontStyle::Normal }
}

/// Width of `text` in px at a font size of `size` px (1 em).
pub fn text_width(text: &str, size: f64, bold: bool) -> f64 {
    // Measured large, since plotters rounds to whole pixels.
    let large = 1000.0;
    fonts();
    let font = (FontFamily::Name(FAMILY), large * HEIGHT_EM, style(bold));
    let measured = plotters::style::FontDesc::new(font.0, font.1, font.2).layout_box(text);
    // Without a font, a rough width keeps the layout sound.
    measured.map_or(text.chars().count() as f64 * 0.6, |((x0, _), (x1, _))| f64::from(x1 - x0) / large) * size
}

/// `text` wrapped to lines of at most `width` px and about equal length; a longer word stays whole.
pub fn wrap(text: &str, size: f64, width: f64) -> Vec<String> {
    let lines = greedy(text, size, width);
    // The narrowest column that needs no more lines leaves no single word on the last one.
    let (mut narrow, mut wide) = (width / 2.0, width);
    while lines.len() > 1 && wide - narrow > 4.0 {
        let middle = (narrow + wide) / 2.0;
        if greedy(text, size, middle).len() > lines.len() { narrow = middle } else { wide = middle }
    }
    if lines.len() > 1 { greedy(text, size, wide) } else { lines }
}

/// `text` in lines, each as long as fits.
fn greedy(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size, false) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
