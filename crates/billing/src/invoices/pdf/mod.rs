//! An invoice as it is printed: a PDF of A4 pages, the same bytes as long as the invoice is the same.
//!
//! [`print`] lays out; [`canvas`] draws; [`font`] embeds what is used of a typeface. See
//! `docs/decisions/0027-invoices-as-pdf.md`.

mod canvas;
mod countries;
mod font;
mod scripts;
mod words;

use kernel::{language::Language, money::Amount, time::Time};
use pdf_writer::{Filter, Pdf, Ref};

use self::{
    canvas::{About, Canvas, Colour, HEIGHT, Style, WIDTH},
    words::Words,
};
use super::{
    rows::{InvoiceStatus, InvoiceType, LineRow},
    view::InvoiceView,
};
use crate::calendar::{Day, clock_of};

/// A document that can't be made: a fault of ours.
#[derive(Debug, thiserror::Error)]
#[error("the invoice can't be printed: {0}")]
pub(crate) struct Broken(String);

/// Writes a compressed stream.
fn packed(pdf: &mut Pdf, id: Ref, data: &[u8]) {
    let data = miniz_oxide::deflate::compress_to_vec_zlib(data, 6);
    pdf.stream(id, &data).filter(Filter::FlateDecode);
}

const MARGIN: f32 = 48.0;
const RIGHT: f32 = WIDTH - MARGIN;
/// Where the lines of a page end; below stands the foot.
const BOTTOM: f32 = HEIGHT - 78.0;
/// From one line of text to the next, in sizes.
const LEADING: f32 = 1.4;

const INK: Colour = (0.12, 0.14, 0.18);
const GREY: Colour = (0.42, 0.45, 0.50);
const ACCENT: Colour = (0.07, 0.33, 0.60);
const SHADE: Colour = (0.945, 0.953, 0.965);
const RULE: Colour = (0.85, 0.87, 0.90);
const ALARM: Colour = (0.72, 0.11, 0.11);
const CALM: Colour = (0.09, 0.45, 0.24);

const BODY: Style = Style {
    size: 9.0,
    bold: false,
    colour: INK,
};
const STRONG: Style = Style { bold: true, ..BODY };
const SMALL: Style = Style {
    size: 7.5,
    bold: false,
    colour: GREY,
};
const LABEL: Style = Style { bold: true, ..SMALL };
const TITLE: Style = Style {
    size: 22.0,
    bold: true,
    colour: ACCENT,
};

/// The invoice as a PDF.
pub(crate) fn print(view: &InvoiceView) -> Result<Vec<u8>, Broken> {
    let language = Language::from_word(&view.parties.language).unwrap_or(Language::En);
    let mut sheet = Sheet {
        canvas: Canvas::new()?,
        view,
        words: Words::of(language),
        y: MARGIN,
    };
    sheet.head();
    sheet.parties();
    sheet.table();
    sheet.sums();
    sheet.notes();
    sheet.feet();
    let title = format!("{} {}", sheet.title(), view.invoice.number);
    let about = About {
        title: &title,
        author: &view.parties.seller_name,
        language: language.as_str(),
        made: clock_of(view.invoice.issued_at),
    };
    sheet.canvas.finish(&about)
}

/// Columns of the table: right edges, but for the first.
struct Columns {
    description: f32,
    quantity: f32,
    unit_price: f32,
    discount: Option<f32>,
    tax: f32,
    net: f32,
}

impl Columns {
    /// The discount has a column only where there is one.
    const fn new(with_discount: bool) -> Self {
        if with_discount {
            Self {
                description: 205.0,
                quantity: 300.0,
                unit_price: 365.0,
                discount: Some(425.0),
                tax: 465.0,
                net: RIGHT - 6.0,
            }
        } else {
            Self {
                description: 250.0,
                quantity: 345.0,
                unit_price: 415.0,
                discount: None,
                tax: 460.0,
                net: RIGHT - 6.0,
            }
        }
    }
}

struct Sheet<'a> {
    canvas: Canvas,
    view: &'a InvoiceView,
    words: &'static Words,
    /// Where the next line begins.
    y: f32,
}

impl Sheet<'_> {
    const fn title(&self) -> &'static str {
        match self.view.invoice.kind {
            InvoiceType::CreditNote => self.words.credit_note,
            InvoiceType::Order | InvoiceType::Renewal | InvoiceType::Usage | InvoiceType::TopUp => {
                self.words.invoice
            }
        }
    }

    const fn is_credit_note(&self) -> bool {
        matches!(self.view.invoice.kind, InvoiceType::CreditNote)
    }

    fn money(&self, amount: Amount) -> String {
        self.words.money(amount, &self.view.invoice.currency)
    }

    fn day(&self, time: Time) -> String {
        self.words.day(Day::of(time))
    }

    /// Lines of text below each other; gives where the next one would begin.
    fn block(&mut self, x: f32, y: f32, width: f32, style: Style, text: &str) -> f32 {
        let mut y = y;
        for line in self.canvas.lines(style, text, width) {
            y += style.size * LEADING;
            self.canvas
                .text(x, y - style.size * (LEADING - 1.0), style, &line);
        }
        y
    }

    /// The seller's name, what this is, and where it stands.
    fn head(&mut self) {
        self.canvas.fill((0.0, 0.0), (WIDTH, 6.0), ACCENT);
        let name = Style { size: 13.0, ..STRONG };
        let left = self.block(MARGIN, self.y, 250.0, name, &self.view.parties.seller_name);
        let title = self.title();
        self.canvas.text_to(RIGHT, self.y + TITLE.size, TITLE, title);
        let number = Style { size: 11.0, ..STRONG };
        self.canvas
            .text_to(RIGHT, self.y + 38.0, number, &self.view.invoice.number);
        let stamps = &self.words.stamps;
        let stamp = match self.view.invoice.status {
            InvoiceStatus::Paid if !self.is_credit_note() => Some((stamps.paid, CALM)),
            InvoiceStatus::Overdue => Some((stamps.overdue, ALARM)),
            InvoiceStatus::Cancelled => Some((stamps.cancelled, ALARM)),
            InvoiceStatus::Refunded => Some((stamps.refunded, GREY)),
            InvoiceStatus::Paid | InvoiceStatus::Draft | InvoiceStatus::Unpaid => None,
        };
        if let Some((text, colour)) = stamp {
            let white = Style {
                size: 8.5,
                bold: true,
                colour: (1.0, 1.0, 1.0),
            };
            let width = self.canvas.width(white, text) + 14.0;
            let at = (RIGHT - width, self.y + 46.0);
            self.canvas.fill(at, (width, 15.0), colour);
            self.canvas.text(at.0 + 7.0, at.1 + 10.7, white, text);
        }
        self.y = left.max(self.y + 68.0) + 12.0;
    }

    /// Who sells, who buys, and the dates.
    fn parties(&mut self) {
        let (top, words, parties) = (self.y, self.words, &self.view.parties);
        let columns = [MARGIN, MARGIN + 175.0, MARGIN + 350.0];
        let width = 160.0;
        let label = |sheet: &mut Self, x, text: &str| {
            sheet.canvas.text(x, top + 7.5, LABEL, &text.to_uppercase());
        };

        label(self, columns[0], words.seller);
        let mut seller = vec![parties.seller_name.clone()];
        seller.extend(parties.seller_address.iter().cloned());
        let mut ends = vec![self.address(columns[0], top, width, &seller, &parties.seller_vat_number)];

        label(self, columns[1], words.customer);
        let place = [&parties.postcode, &parties.city, &parties.state];
        let place: Vec<&str> = place
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        // The company is who buys; the organization's name stands below it where it is another.
        let (first, second) = if parties.company_name.is_empty() {
            (&parties.customer_name, "")
        } else if parties.company_name == parties.customer_name {
            (&parties.company_name, "")
        } else {
            (&parties.company_name, parties.customer_name.as_str())
        };
        let customer = [
            first.clone(),
            second.to_owned(),
            parties.address_1.clone(),
            parties.address_2.clone(),
            place.join(" "),
            countries::name(&parties.country, words.language()).to_owned(),
        ];
        ends.push(self.address(columns[1], top, width, &customer, &parties.vat_number));

        let invoice = &self.view.invoice;
        let mut facts = vec![(words.issued, self.day(invoice.issued_at))];
        if let Some(of) = &self.view.credit_of {
            facts.push((words.takes_back, of.clone()));
        }
        if !self.is_credit_note() {
            facts.push((words.due, self.day(invoice.due_at)));
            match invoice.paid_at {
                Some(paid) => facts.push((words.paid_on, self.day(paid))),
                None if invoice.is_open() => {
                    facts.push((words.payable_until, self.day(invoice.payable_until)));
                }
                None => {}
            }
        }
        if !parties.purchase_order.is_empty() {
            facts.push((words.purchase_order, parties.purchase_order.clone()));
        }
        // The first fact stands on the line of the labels.
        let mut y = top + 7.5 - BODY.size;
        for (name, fact) in facts {
            self.canvas.text(columns[2], y + BODY.size, SMALL, name);
            let x = columns[2] + 68.0;
            y = self.block(x, y, RIGHT - x, BODY, &fact);
        }
        ends.push(y);
        self.y = ends.into_iter().fold(top, f32::max) + 22.0;
    }

    /// Lines of an address below a label, the first one strong.
    fn address(&mut self, x: f32, top: f32, width: f32, lines: &[String], vat_number: &str) -> f32 {
        let mut y = top + 10.0;
        let mut style = STRONG;
        for line in lines.iter().filter(|line| !line.trim().is_empty()) {
            y = self.block(x, y, width, style, line);
            style = BODY;
        }
        if !vat_number.is_empty() {
            let text = format!("{} {vat_number}", self.words.vat_number);
            y = self.block(x, y + 2.0, width, SMALL, &text);
        }
        y
    }

    /// Begins a page if less than `height` is left of this one. `true`: it did.
    fn need(&mut self, height: f32) -> bool {
        if self.y + height <= BOTTOM {
            return false;
        }
        let words = self.words;
        self.canvas.text_to(RIGHT, HEIGHT - 62.0, SMALL, words.continued);
        self.canvas.begin_page();
        self.canvas.fill((0.0, 0.0), (WIDTH, 6.0), ACCENT);
        let title = format!("{} {}", self.title(), self.view.invoice.number);
        self.canvas.text(MARGIN, MARGIN, STRONG, &title);
        self.y = MARGIN + 16.0;
        true
    }

    fn table(&mut self) {
        let view = self.view;
        let columns = Columns::new(view.lines.iter().any(|line| !line.discount.is_zero()));
        self.table_head(&columns);
        for line in &view.lines {
            self.line(&columns, line);
        }
        self.y += 14.0;
    }

    fn table_head(&mut self, columns: &Columns) {
        let words = self.words;
        self.canvas.fill((MARGIN, self.y), (RIGHT - MARGIN, 20.0), SHADE);
        let y = self.y + 13.0;
        let style = Style {
            size: 8.0,
            bold: true,
            colour: INK,
        };
        self.canvas.text(MARGIN + 6.0, y, style, words.description);
        self.canvas.text_to(columns.quantity, y, style, words.quantity);
        self.canvas
            .text_to(columns.unit_price, y, style, words.unit_price);
        if let Some(discount) = columns.discount {
            self.canvas.text_to(discount, y, style, words.discount);
        }
        self.canvas.text_to(columns.tax, y, style, words.tax_rate);
        self.canvas.text_to(columns.net, y, style, words.net);
        self.y += 24.0;
    }

    fn line(&mut self, columns: &Columns, line: &LineRow) {
        let words = self.words;
        let currency = &self.view.invoice.currency;
        let description = if matches!(words.language(), Language::Fr) {
            &line.description_fr
        } else {
            &line.description
        };
        let (left, width) = (MARGIN + 6.0, columns.description - 10.0);
        let texts = self.canvas.lines(BODY, description, width);
        let period = line
            .period_start
            .zip(line.period_end)
            .map(|(start, end)| format!("{} {} {}", self.day(start), words.until, self.day(end)));
        let periods = period.map_or_else(Vec::new, |period| self.canvas.lines(SMALL, &period, width));
        let lines = |count: usize, style: Style| {
            f32::from(u16::try_from(count).unwrap_or(u16::MAX)) * style.size * LEADING
        };
        let height = lines(texts.len().max(1), BODY) + lines(periods.len(), SMALL) + 7.0;
        if self.need(height) {
            self.table_head(columns);
        }
        let figures = self.y + BODY.size + 1.0;
        let mut cell = |x, text: &str| self.canvas.text_to(x, figures, BODY, text);
        cell(columns.quantity, &words.number(line.quantity));
        cell(columns.unit_price, &words.unit_price(line.unit_price, currency));
        if let Some(discount) = columns.discount.filter(|_| !line.discount.is_zero()) {
            cell(discount, &words.money(-line.discount, currency));
        }
        cell(columns.tax, &words.percent(line.tax_rate));
        cell(columns.net, &words.money(line.total, currency));
        let mut y = self.y + 1.0;
        for text in texts {
            self.canvas.text(left, y + BODY.size, BODY, &text);
            y += BODY.size * LEADING;
        }
        for text in periods {
            self.canvas.text(left, y + SMALL.size, SMALL, &text);
            y += SMALL.size * LEADING;
        }
        self.y += height;
        self.canvas
            .fill((MARGIN, self.y - 2.5), (RIGHT - MARGIN, 0.5), RULE);
    }

    /// From the net sum to what is still to be paid.
    fn sums(&mut self) {
        let (view, words) = (self.view, self.words);
        let invoice = &view.invoice;
        let mut rows = vec![(words.subtotal.to_owned(), invoice.subtotal)];
        for (rate, net, tax) in &view.taxes {
            let (before, between) = words.tax;
            let name = format!("{before} {} {between} {}", words.percent(*rate), self.money(*net));
            rows.push((name, *tax));
        }
        let mut after = Vec::new();
        if !self.is_credit_note() {
            if !invoice.credit_applied.is_zero() {
                after.push((words.credit_applied.to_owned(), -invoice.credit_applied));
            }
            if !invoice.amount_paid.is_zero() {
                after.push((words.paid.to_owned(), -invoice.amount_paid));
            }
        }
        let step = BODY.size * LEADING + 3.0;
        let count = f32::from(u16::try_from(rows.len() + after.len() + 2).unwrap_or(u16::MAX));
        self.need(count * step + 40.0);
        let left = RIGHT - 232.0;
        for (name, amount) in rows {
            self.sum(left, BODY, &name, amount);
        }
        self.canvas.fill((left, self.y + 1.0), (RIGHT - left, 0.8), INK);
        self.y += 3.0;
        self.sum(left, STRONG, words.total, invoice.total);
        for (name, amount) in after {
            self.sum(left, BODY, &name, amount);
        }
        if !self.is_credit_note() {
            self.y += 4.0;
            self.canvas.fill((left, self.y), (RIGHT - left, 24.0), SHADE);
            let style = Style {
                size: 10.5,
                bold: true,
                colour: ACCENT,
            };
            self.canvas
                .text(left + 6.0, self.y + 15.8, style, words.amount_due);
            let due = self.money(invoice.amount_due());
            self.canvas.text_to(RIGHT - 6.0, self.y + 15.8, style, &due);
            self.y += 24.0;
        }
        self.y += 18.0;
    }

    fn sum(&mut self, left: f32, style: Style, name: &str, amount: Amount) {
        self.y += style.size * LEADING + 3.0;
        let y = self.y - 4.0;
        self.canvas.text(left + 6.0, y, style, name);
        let amount = self.money(amount);
        self.canvas.text_to(RIGHT - 6.0, y, style, &amount);
    }

    /// What the law, and the seller, want to have said.
    fn notes(&mut self) {
        let treatment = self.view.parties.treatment;
        let (english, french) = treatment.map_or(("", ""), crate::tax::Treatment::notice);
        let notice = match self.words.language() {
            Language::En => english,
            Language::Fr => french,
        };
        // Credit is sold without tax whoever buys it: why another sale would not be taxed is of no interest.
        let notice = if self.view.invoice.kind == InvoiceType::TopUp {
            ""
        } else {
            notice
        };
        let credited = if self.is_credit_note() {
            self.words.credited
        } else {
            ""
        };
        let note = self.view.parties.seller_note.clone();
        for (style, text) in [(STRONG, notice), (BODY, credited), (SMALL, note.as_str())] {
            for paragraph in text.lines() {
                for line in self.canvas.lines(style, paragraph, RIGHT - MARGIN) {
                    let step = style.size * LEADING;
                    self.need(step);
                    self.y += step;
                    self.canvas.text(MARGIN, self.y, style, &line);
                }
            }
            if !text.is_empty() {
                self.y += 6.0;
            }
        }
    }

    /// At the foot of each page: whose it is, and which page of how many.
    fn feet(&mut self) {
        let parties = &self.view.parties;
        let mut seller = parties.seller_name.clone();
        if !parties.seller_vat_number.is_empty() {
            seller = format!(
                "{seller} · {} {}",
                self.words.vat_number, parties.seller_vat_number
            );
        }
        let seller = self.canvas.lines(SMALL, &seller, 380.0);
        let pages = self.canvas.page_count();
        let (before, between) = self.words.page;
        for page in 0..pages {
            let text = format!("{before} {} {between} {pages}", page + 1);
            let x = RIGHT - self.canvas.width(SMALL, &text);
            let y = HEIGHT - 34.0;
            self.canvas.text_on(page, x, y, SMALL, &text);
            if let Some(line) = seller.first() {
                self.canvas.text_on(page, MARGIN, y, SMALL, line);
            }
        }
    }
}

#[cfg(test)]
mod tests;
