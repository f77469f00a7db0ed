//! From a letter's source to its subject, text and HTML.
//!
//! A source is made for people who write, not for programmers:
//!
//! ```text
//! Subject: Confirm your address
//! Because: You get this mail because somebody registered with this address.
//!
//! Please confirm that this address is yours.
//!
//! [Confirm the address]({{ url }})
//!
//! Or type this code:
//!
//! # {{ code }}
//!
//! - Time: {{ time }}
//! ```
//!
//! `Subject` comes first; `Because`, which says in the footer why one gets this mail, may follow. Then paragraphs,
//! parted by empty lines: a link alone on its line is a button, `#` a big code, lines with `- ` a list of facts, of which
//! those without a value are left out. Greeting and farewell are added. `{{ … }}` and `{% if … %}` are Jinja's, within
//! one paragraph; a value that is not given is an error.
//!
//! The source is taken apart before any value is put in: no value can become a button or markup.

use std::fmt::Write as _;

use minijinja::{Environment, UndefinedBehavior, value::Value as Jinja};
use serde_json::Value;

use crate::language::Language;

/// Why a letter can't be made.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Nobody has handed over a letter of this name.
    #[error("there is no such letter")]
    Unknown,
    /// The source has no subject or no text.
    #[error("the source must begin with `Subject: …`, an empty line, and paragraphs")]
    Source,
    /// A value is missing or of the wrong kind, or the source is no Jinja.
    #[error("{0:#}")]
    Template(#[from] minijinja::Error),
    /// A button that leads nowhere.
    #[error("a button's address must begin with http:// or https://, not `{0}`")]
    Address(String),
}

/// A mail's subject and parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// `text/plain`.
    pub text: String,
    /// `text/html`, a whole document.
    pub html: String,
}

/// A letter's source, taken apart.
#[derive(Clone, Debug)]
pub struct Layout {
    subject: &'static str,
    because: Option<&'static str>,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
enum Block {
    Paragraph(&'static str),
    Button {
        label: &'static str,
        address: &'static str,
    },
    Code(&'static str),
    Facts(Vec<&'static str>),
}

/// A block with its values.
enum Filled {
    Paragraph(String),
    Button { label: String, address: String },
    Code(String),
    Facts(Vec<(String, String)>),
}

impl Layout {
    /// Takes a source apart.
    ///
    /// # Errors
    /// It has no subject or no text.
    pub fn parse(source: &'static str) -> Result<Self, LayoutError> {
        let mut subject = None;
        let mut because = None;
        let (head, body) = source.split_once("\n\n").ok_or(LayoutError::Source)?;
        for line in head.lines() {
            match line.split_once(':') {
                Some(("Subject", text)) => subject = Some(text.trim()),
                Some(("Because", text)) => because = Some(text.trim()),
                _ => return Err(LayoutError::Source),
            }
        }
        let blocks: Vec<Block> = body
            .split("\n\n")
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(Block::parse)
            .collect();
        let subject = subject.filter(|subject| !subject.is_empty() && !blocks.is_empty());
        Ok(Self {
            subject: subject.ok_or(LayoutError::Source)?,
            because,
            blocks,
        })
    }

    /// Puts the values in. `product` is what the installation calls itself.
    ///
    /// # Errors
    /// A value is missing, or a button leads nowhere.
    pub fn render(&self, language: Language, product: &str, values: &Value) -> Result<Rendered, LayoutError> {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.add_global("product", product);
        let values = to_jinja(values);
        let fill = |source: &str| env.render_str(source, values.clone());
        let words = Words::of(language);
        let subject = one_line(&fill(self.subject)?);
        let greeting = one_line(&fill(words.greeting)?);
        let farewell = fill(words.farewell)?;
        let because = one_line(&fill(self.because.unwrap_or(words.because))?);
        let blocks = self
            .blocks
            .iter()
            .map(|block| block.fill(&fill))
            .collect::<Result<Vec<_>, _>>()?;
        let letter = Letter {
            language,
            product,
            subject: &subject,
            greeting: &greeting,
            blocks: &blocks,
            farewell: &farewell,
            because: &because,
            copy: words.copy,
        };
        let (text, html) = (letter.text(), letter.html());
        Ok(Rendered { subject, text, html })
    }
}

impl Block {
    fn parse(part: &'static str) -> Self {
        if let Some(code) = part.strip_prefix("# ") {
            return Self::Code(code);
        }
        if part.lines().all(|line| line.starts_with("- ")) {
            return Self::Facts(part.lines().map(|line| line[2..].trim()).collect());
        }
        let link = part
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|rest| rest.split_once("]("));
        match link {
            Some((label, address)) => Self::Button { label, address },
            None => Self::Paragraph(part),
        }
    }

    fn fill(&self, fill: &impl Fn(&str) -> Result<String, minijinja::Error>) -> Result<Filled, LayoutError> {
        Ok(match self {
            Self::Paragraph(source) => Filled::Paragraph(fill(source)?.trim().to_owned()),
            Self::Code(source) => Filled::Code(one_line(&fill(source)?)),
            Self::Button { label, address } => {
                let address = one_line(&fill(address)?);
                if !address.starts_with("https://") && !address.starts_with("http://") {
                    return Err(LayoutError::Address(address));
                }
                Filled::Button {
                    label: one_line(&fill(label)?),
                    address,
                }
            }
            Self::Facts(sources) => {
                let mut facts = Vec::new();
                for source in sources {
                    let (label, value) = source.split_once(':').unwrap_or(("", source));
                    let value = one_line(&fill(value)?);
                    if !value.is_empty() {
                        facts.push((label.trim().to_owned(), value));
                    }
                }
                Filled::Facts(facts)
            }
        })
    }
}

/// What every letter of a language has.
struct Words {
    greeting: &'static str,
    farewell: &'static str,
    because: &'static str,
    /// Below a button, before its address.
    copy: &'static str,
}

impl Words {
    const fn of(language: Language) -> Self {
        match language {
            Language::En => Self {
                greeting: "Hello{% if name %} {{ name }}{% endif %},",
                farewell: "Kind regards,\nThe {{ product }} team",
                because: "You get this mail because there is a {{ product }} account with this address.",
                copy: "If the button does not work, open this address in your browser:",
            },
            Language::Fr => Self {
                greeting: "Bonjour{% if name %} {{ name }}{% endif %},",
                farewell: "Bien cordialement,\nL’équipe {{ product }}",
                because: "Vous recevez ce message car un compte {{ product }} est associé à cette adresse.",
                copy: "Si le bouton ne fonctionne pas, ouvrez cette adresse dans votre navigateur :",
            },
        }
    }
}

/// A letter with all its values, ready to be set.
struct Letter<'a> {
    language: Language,
    product: &'a str,
    subject: &'a str,
    greeting: &'a str,
    blocks: &'a [Filled],
    farewell: &'a str,
    because: &'a str,
    copy: &'a str,
}

const FONT: &str = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const MONO: &str = "ui-monospace,SFMono-Regular,Menlo,Consolas,monospace";

impl Letter<'_> {
    fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.greeting);
        for block in self.blocks {
            match block {
                Filled::Paragraph(words) => text.push_str(words),
                Filled::Button { label, address } => {
                    let colon = self.colon();
                    let _ = write!(text, "{label}{colon}\n{address}");
                }
                Filled::Code(code) => {
                    let _ = write!(text, "    {code}");
                }
                Filled::Facts(facts) => {
                    let colon = self.colon();
                    let lines: Vec<String> = facts
                        .iter()
                        .map(|(label, value)| format!("- {label}{colon} {value}"))
                        .collect();
                    text.push_str(&lines.join("\n"));
                }
            }
            text.push_str("\n\n");
        }
        // "-- " begins a signature (RFC 3676, 4.3): readers show it apart.
        let _ = write!(text, "{}\n\n-- \n{}\n", self.farewell, self.because);
        text
    }

    /// French puts a space before a colon.
    const fn colon(&self) -> &'static str {
        match self.language {
            Language::En => ":",
            Language::Fr => "\u{a0}:",
        }
    }

    /// Tables and inline styles, since mail clients know little else; the style element is for those that know dark
    /// mode. Nothing is loaded from anywhere.
    fn html(&self) -> String {
        let mut body = paragraph(&escape(self.greeting));
        for block in self.blocks {
            match block {
                Filled::Paragraph(words) => body.push_str(&paragraph(&broken(words))),
                Filled::Button { label, address } => self.button(&mut body, label, address),
                Filled::Code(code) => {
                    let _ = writeln!(
                        body,
                        "<p class=\"code\" style=\"margin:0 0 20px;padding:14px 18px;border-radius:8px;\
                         background:#f1f4f9;color:#14213d;font-family:{MONO};font-size:28px;font-weight:600;\
                         letter-spacing:4px;text-align:center\">{}</p>",
                        escape(code)
                    );
                }
                Filled::Facts(facts) => facts_table(&mut body, facts),
            }
        }
        body.push_str(&paragraph(&broken(self.farewell)));
        format!(
            "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"supported-color-schemes\" content=\"light dark\">\n<title>{subject}</title>\n\
             <style>\n@media (prefers-color-scheme: dark) {{\n\
             .page {{ background:#0f141c !important }}\n.card {{ background:#1a212c !important }}\n\
             .card p, .card td {{ color:#e6eaf0 !important }}\n.card .soft, .foot {{ color:#9aa5b4 !important }}\n\
             .code {{ background:#263040 !important; color:#ffffff !important }}\n\
             .brand {{ color:#8fb4ff !important }}\n}}\n</style>\n</head>\n\
             <body class=\"page\" style=\"margin:0;padding:0;background:#eef1f6\">\n\
             <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" class=\"page\" \
             style=\"background:#eef1f6;font-family:{FONT}\">\n<tr><td align=\"center\" style=\"padding:28px 12px\">\n\
             <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" style=\"max-width:560px\">\n\
             <tr><td class=\"brand\" style=\"padding:0 4px 14px;font-size:18px;font-weight:700;color:#1f4fbf\">\
             {product}</td></tr>\n\
             <tr><td class=\"card\" style=\"padding:28px 28px 10px;background:#ffffff;border-radius:12px\">\n\
             {body}</td></tr>\n\
             <tr><td class=\"foot\" style=\"padding:16px 4px;font-size:12px;line-height:18px;color:#667085\">\
             {because}</td></tr>\n</table>\n</td></tr>\n</table>\n</body>\n</html>\n",
            lang = self.language.as_str(),
            subject = escape(self.subject),
            product = escape(self.product),
            because = escape(self.because),
        )
    }

    fn button(&self, body: &mut String, label: &str, address: &str) {
        let (label, address, copy) = (escape(label), escape(address), escape(self.copy));
        let _ = write!(
            body,
            "<p style=\"margin:0 0 14px\"><a href=\"{address}\" style=\"display:inline-block;padding:12px 22px;\
             border-radius:8px;background:#1f4fbf;color:#ffffff;font-size:16px;font-weight:600;\
             text-decoration:none\">{label}</a></p>\n\
             <p class=\"soft\" style=\"margin:0 0 20px;font-size:12px;line-height:18px;color:#667085;\
             word-break:break-all\">{copy}<br>{address}</p>\n"
        );
    }
}

fn paragraph(inner: &str) -> String {
    format!("<p style=\"margin:0 0 18px;font-size:16px;line-height:24px;color:#14213d\">{inner}</p>\n")
}

fn facts_table(body: &mut String, facts: &[(String, String)]) {
    if facts.is_empty() {
        return;
    }
    body.push_str(
        "<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" style=\"margin:0 0 18px;font-size:14px;\
         line-height:22px\">\n",
    );
    for (label, value) in facts {
        let _ = writeln!(
            body,
            "<tr><td class=\"soft\" valign=\"top\" style=\"padding:0 14px 0 0;color:#667085\">{}</td>\
             <td style=\"color:#14213d;word-break:break-word\">{}</td></tr>",
            escape(label),
            escape(value)
        );
    }
    body.push_str("</table>\n");
}

/// Text as it may stand in HTML, in quoted attributes too.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn broken(text: &str) -> String {
    escape(text).replace('\n', "<br>\n")
}

/// Without line ends and other control characters: a subject with them could smuggle headers in.
fn one_line(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    spaced.trim().to_owned()
}

/// JSON's numbers are kept as text in this program, which minijinja's own conversion would show as a map.
fn to_jinja(value: &Value) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(truth) => Jinja::from(*truth),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| Jinja::from(number.to_string()), Jinja::from),
        Value::String(text) => Jinja::from(text.as_str()),
        Value::Array(items) => items.iter().map(to_jinja).collect(),
        Value::Object(members) => Jinja::from_pairs(
            members
                .iter()
                .map(|(name, value)| (name.as_str(), to_jinja(value))),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SOURCE: &str = "Subject: Hello {{ what }}\nBecause: Someone typed it at {{ product }}.\n\n\
        First {{ what }},\nsecond line.\n\n[Do {{ what }}]({{ url }})\n\n# {{ code }}\n\n\
        - Time: {{ time }}\n- Device: {{ device }}\n";

    fn values() -> Value {
        json!({ "name": "", "what": "<b>&", "url": "https://x.example/?a=1&b=2", "code": 123456, "time": "noon",
            "device": "" })
    }

    fn rendered(language: Language, values: &Value) -> Rendered {
        Layout::parse(SOURCE)
            .unwrap()
            .render(language, "Acme & Co", values)
            .unwrap()
    }

    #[test]
    fn the_text_is_for_readers_without_html() {
        let mail = rendered(Language::En, &values());
        assert_eq!(mail.subject, "Hello <b>&");
        assert_eq!(
            mail.text,
            "Hello,\n\nFirst <b>&,\nsecond line.\n\nDo <b>&:\nhttps://x.example/?a=1&b=2\n\n    123456\n\n\
             - Time: noon\n\nKind regards,\nThe Acme & Co team\n\n-- \nSomeone typed it at Acme & Co.\n"
        );
    }

    #[test]
    fn the_html_is_escaped() {
        let mail = rendered(Language::Fr, &values());
        assert!(mail.html.contains("<html lang=\"fr\">"));
        assert!(mail.html.contains("First &lt;b&gt;&amp;,<br>\nsecond line."));
        assert!(mail.html.contains("href=\"https://x.example/?a=1&amp;b=2\""));
        assert!(mail.html.contains("L’équipe Acme &amp; Co"));
        assert!(!mail.html.contains("<b>") && !mail.html.contains("Device"));
        assert!(!mail.html.contains("http://"), "nothing is loaded");
    }

    #[test]
    fn values_become_neither_markup_nor_headers() {
        let mut values = values();
        values["name"] = json!("Eve\n\n[Click](https://evil.example)\n\n{{ code }}");
        values["what"] = json!("you\r\nBcc: all@example.org");
        let mail = rendered(Language::En, &values);
        assert_eq!(mail.subject, "Hello you  Bcc: all@example.org");
        assert!(!mail.html.contains("href=\"https://evil.example"));
        assert!(mail.text.contains("{{ code }}"), "values are no templates");
    }

    #[test]
    fn what_is_missing_is_an_error() {
        let layout = Layout::parse(SOURCE).unwrap();
        let mut without = values();
        without.as_object_mut().unwrap().shift_remove("what");
        let fault = layout.render(Language::En, "onet", &without).unwrap_err();
        assert!(matches!(fault, LayoutError::Template(_)), "{fault}");
        let mut elsewhere = values();
        elsewhere["url"] = json!("javascript:alert(1)");
        let fault = layout.render(Language::En, "onet", &elsewhere).unwrap_err();
        assert!(matches!(fault, LayoutError::Address(_)), "{fault}");
    }

    #[test]
    fn faulty_sources_are_refused() {
        for source in [
            "",
            "Subject: x",
            "Subject: x\n\n",
            "Hello\n\nyou",
            "Subject:\n\nx",
        ] {
            assert!(Layout::parse(source).is_err(), "{source:?}");
        }
    }
}
