//! A typeface inside a PDF: what it measures, and the part of it that a document embeds.
//!
//! Characters are numbered in the order of their first use (CIDs). The embedded map leads from a number to a glyph, and
//! the document's Unicode map from the number back to the character. A character that the typeface lacks shows as a
//! replacement sign, and is still found by whoever searches or copies the text.

use std::collections::BTreeMap;

use pdf_writer::{
    Finish, Name, Pdf, Ref, Str,
    types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap},
};
use subsetter::GlyphRemapper;
use ttf_parser::Face;

use super::{Broken, packed};

/// Shown for characters that the typeface lacks.
const MISSING: char = '\u{fffd}';

/// Different characters in a document: numbers have two bytes, and 0 is taken.
const MOST: usize = 0xfffe;

const SYSTEM: SystemInfo<'static> = SystemInfo {
    registry: Str(b"Adobe"),
    ordering: Str(b"Identity"),
    supplement: 0,
};

/// A typeface, and which of its characters a document has used so far.
pub(super) struct Font {
    face: Face<'static>,
    data: &'static [u8],
    name: &'static str,
    numbers: BTreeMap<char, u16>,
    /// By number: character, glyph, width in thousandths of the size.
    used: Vec<(char, u16, f32)>,
}

impl Font {
    pub(super) fn new(data: &'static [u8], name: &'static str) -> Result<Self, Broken> {
        Ok(Self {
            face: Face::parse(data, 0).map_err(|error| Broken(format!("{name}: {error}")))?,
            data,
            name,
            numbers: BTreeMap::new(),
            used: Vec::new(),
        })
    }

    fn glyph(&self, character: char) -> u16 {
        let found = self.face.glyph_index(character);
        found
            .or_else(|| self.face.glyph_index(MISSING))
            .map_or(0, |glyph| glyph.0)
    }

    /// Thousandths of the size that a glyph takes.
    fn advance(&self, glyph: u16) -> f32 {
        let units = self.face.glyph_hor_advance(ttf_parser::GlyphId(glyph));
        f32::from(units.unwrap_or_default()) * 1000.0 / f32::from(self.face.units_per_em())
    }

    /// How wide a text is at a size, in points.
    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        let thousandths: f32 = text
            .chars()
            .map(|character| self.advance(self.glyph(character)))
            .sum();
        thousandths * size / 1000.0
    }

    /// The text as the document's content names it: two bytes a character.
    pub(super) fn encode(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(text.len() * 2);
        for character in text.chars() {
            let number = match self.numbers.get(&character) {
                Some(number) => *number,
                // Out of numbers: no invoice that means anything has so many different characters.
                None if self.used.len() >= MOST => 1,
                None => {
                    let number = u16::try_from(self.used.len() + 1).unwrap_or(1);
                    let glyph = self.glyph(character);
                    self.used.push((character, glyph, self.advance(glyph)));
                    self.numbers.insert(character, number);
                    number
                }
            };
            bytes.extend(number.to_be_bytes());
        }
        bytes
    }

    /// Writes the font into the document as six objects, of which the first is the font itself.
    pub(super) fn write(&self, pdf: &mut Pdf, ids: [Ref; 6]) -> Result<(), Broken> {
        let [font, descendant, descriptor, unicode, glyph_map, file] = ids;
        let mut glyphs = GlyphRemapper::new();
        let mut map: Vec<u8> = vec![0, 0];
        let mut to_unicode: UnicodeCmap<u16> = UnicodeCmap::new(Name(b"Custom"), SYSTEM);
        for (number, (character, glyph, _)) in (1..=u16::MAX).zip(&self.used) {
            map.extend(glyphs.remap(*glyph).to_be_bytes());
            to_unicode.pair(number, *character);
        }
        let subset = subsetter::subset(self.data, 0, &glyphs)
            .map_err(|error| Broken(format!("{}: {error}", self.name)))?;
        // A tag before the name says that the font is a part of it (ISO 32000-1, 9.6.4).
        let name = format!("ONETAA+{}", self.name);
        let name = Name(name.as_bytes());

        pdf.type0_font(font)
            .base_font(name)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(descendant)
            .to_unicode(unicode);
        let mut cid = pdf.cid_font(descendant);
        cid.subtype(CidFontType::Type2)
            .base_font(name)
            .system_info(SYSTEM)
            .font_descriptor(descriptor)
            .default_width(0.0)
            .cid_to_gid_map_stream(glyph_map);
        cid.widths()
            .consecutive(1, self.used.iter().map(|(_, _, width)| *width));
        cid.finish();
        let scale = 1000.0 / f32::from(self.face.units_per_em());
        let height = |units: i16| f32::from(units) * scale;
        let bounds = self.face.global_bounding_box();
        pdf.font_descriptor(descriptor)
            .name(name)
            .flags(FontFlags::SYMBOLIC)
            .bbox(pdf_writer::Rect::new(
                height(bounds.x_min),
                height(bounds.y_min),
                height(bounds.x_max),
                height(bounds.y_max),
            ))
            .italic_angle(0.0)
            .ascent(height(self.face.ascender()))
            .descent(height(self.face.descender()))
            .cap_height(height(self.face.capital_height().unwrap_or_default()))
            .stem_v(if self.face.is_bold() { 140.0 } else { 80.0 })
            .font_file2(file);
        packed(pdf, unicode, to_unicode.finish().as_slice());
        packed(pdf, glyph_map, &map);
        packed(pdf, file, &subset);
        Ok(())
    }
}
