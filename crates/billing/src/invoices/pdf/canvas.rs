//! Pages with text, lines and boxes on them. Positions are points from the upper left corner of an A4 page.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

use super::{Broken, font::Font, packed, scripts};

pub(super) const WIDTH: f32 = 595.28;
pub(super) const HEIGHT: f32 = 841.89;

/// A colour: red, green, blue.
pub(super) type Colour = (f32, f32, f32);

/// Bytes that no line has: what is longer need not be measured.
const LONGEST_LINE: usize = 1024;

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) size: f32,
    pub(super) bold: bool,
    pub(super) colour: Colour,
}

/// What a document says of itself.
pub(super) struct About<'a> {
    pub(super) title: &'a str,
    pub(super) author: &'a str,
    pub(super) language: &'a str,
    /// Year, month, day, hour, minute, second in UTC.
    pub(super) made: (u16, [u8; 5]),
}

/// Pages in the making; whatever is drawn comes onto the page last begun.
pub(super) struct Canvas {
    regular: Font,
    bold: Font,
    pages: Vec<Content>,
}

impl Canvas {
    pub(super) fn new() -> Result<Self, Broken> {
        Ok(Self {
            regular: Font::new(dejavu::sans_condensed::regular(), "DejaVuSansCondensed")?,
            bold: Font::new(dejavu::sans_condensed::bold(), "DejaVuSansCondensed-Bold")?,
            pages: vec![Content::new()],
        })
    }

    pub(super) fn begin_page(&mut self) {
        self.pages.push(Content::new());
    }

    pub(super) fn page_count(&self) -> usize {
        self.pages.len()
    }

    fn font(&self, style: Style) -> &Font {
        if style.bold { &self.bold } else { &self.regular }
    }

    pub(super) fn width(&self, style: Style, text: &str) -> f32 {
        self.font(style).width(text, style.size)
    }

    /// A line of text that begins at `x` and stands on the line `y`.
    pub(super) fn text(&mut self, x: f32, y: f32, style: Style, text: &str) {
        let page = self.pages.len() - 1;
        self.text_on(page, x, y, style, text);
    }

    /// A line of text that ends at `x`.
    pub(super) fn text_to(&mut self, x: f32, y: f32, style: Style, text: &str) {
        self.text(x - self.width(style, text), y, style, text);
    }

    pub(super) fn text_on(&mut self, page: usize, x: f32, y: f32, style: Style, text: &str) {
        let (name, font) = if style.bold {
            (Name(b"B"), &mut self.bold)
        } else {
            (Name(b"R"), &mut self.regular)
        };
        let bytes = font.encode(&scripts::visual_order(text));
        let (red, green, blue) = style.colour;
        self.pages[page]
            .begin_text()
            .set_fill_rgb(red, green, blue)
            .set_font(name, style.size)
            .next_line(x, HEIGHT - y)
            .show(Str(&bytes))
            .end_text();
    }

    /// A filled box.
    pub(super) fn fill(&mut self, (x, y): (f32, f32), (width, height): (f32, f32), colour: Colour) {
        let page = self.pages.len() - 1;
        self.pages[page]
            .set_fill_rgb(colour.0, colour.1, colour.2)
            .rect(x, HEIGHT - y - height, width, height)
            .fill_nonzero();
    }

    /// The text in lines that are no wider than `width`, broken between words; a longer word is broken where it must.
    pub(super) fn lines(&self, style: Style, text: &str, width: f32) -> Vec<String> {
        let mut lines = Vec::new();
        for paragraph in text.lines() {
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                let longer = if line.is_empty() {
                    word.to_owned()
                } else {
                    format!("{line} {word}")
                };
                // A longer word is measured as it is broken.
                let may_fit = longer.len() < LONGEST_LINE;
                if may_fit && self.width(style, &longer) <= width {
                    line = longer;
                    continue;
                }
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                let mut taken = 0.0;
                for character in word.chars() {
                    let more = self.width(style, character.encode_utf8(&mut [0; 4]));
                    if taken + more > width && !line.is_empty() {
                        lines.push(std::mem::take(&mut line));
                        taken = 0.0;
                    }
                    line.push(character);
                    taken += more;
                }
            }
            if !line.is_empty() {
                lines.push(line);
            }
        }
        lines
    }

    /// The whole document: the same bytes for the same pages.
    pub(super) fn finish(self, about: &About<'_>) -> Result<Vec<u8>, Broken> {
        let Self {
            regular,
            bold,
            pages: contents,
        } = self;
        let mut pdf = Pdf::new();
        pdf.set_version(1, 7);
        let [catalog, tree, info] = [1, 2, 3].map(Ref::new);
        let fonts = [10, 20].map(|first| [0, 1, 2, 3, 4, 5].map(|place| Ref::new(first + place)));
        let mut pages = Vec::new();
        for (place, content) in (0..).zip(contents) {
            let (page, stream) = (Ref::new(100 + place * 2), Ref::new(101 + place * 2));
            pages.push(page);
            let mut entry = pdf.page(page);
            entry
                .parent(tree)
                .media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT))
                .contents(stream);
            let mut resources = entry.resources();
            resources
                .fonts()
                .pair(Name(b"R"), fonts[0][0])
                .pair(Name(b"B"), fonts[1][0]);
            resources.finish();
            entry.finish();
            packed(&mut pdf, stream, content.finish().as_slice());
        }
        let count = i32::try_from(pages.len()).unwrap_or(i32::MAX);
        pdf.pages(tree).kids(pages).count(count);
        let mut root = pdf.catalog(catalog);
        root.pages(tree).lang(TextStr(about.language));
        root.viewer_preferences().display_doc_title(true);
        root.finish();
        let (year, [month, day, hour, minute, second]) = about.made;
        pdf.document_info(info)
            .title(TextStr(about.title))
            .author(TextStr(about.author))
            .creator(TextStr("onet"))
            .creation_date(
                pdf_writer::Date::new(year)
                    .month(month)
                    .day(day)
                    .hour(hour)
                    .minute(minute)
                    .second(second)
                    .utc_offset_hour(0),
            );
        regular.write(&mut pdf, fonts[0])?;
        bold.write(&mut pdf, fonts[1])?;
        Ok(pdf.finish())
    }
}
