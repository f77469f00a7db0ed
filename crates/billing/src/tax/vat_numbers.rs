//! VAT numbers of the European Union: their form, and their check digits where a short public rule exists.
//!
//! Forms and rules: European Commission, VIES, "VAT identification number structure" (FAQ, question 11).

/// Whether `number` looks like a VAT number of `country` (ISO 3166), with or without spaces, dots and dashes.
pub fn is_valid(country: &str, number: &str) -> bool {
    let number: String = number
        .chars()
        .filter(|c| !matches!(c, ' ' | '.' | '-'))
        .collect::<String>()
        .to_uppercase();
    let prefix = if country == "GR" { "EL" } else { country };
    let Some(rest) = number.strip_prefix(prefix) else {
        return false;
    };
    FORMS
        .iter()
        .filter(|(code, _)| *code == prefix)
        .any(|(_, forms)| forms.split('|').any(|form| fits(form, rest)))
        && has_check_digits(prefix, rest)
}

/// Forms, with `9` for a digit, `A` for a letter, `X` for either; other characters stand for themselves.
const FORMS: [(&str, &str); 27] = [
    ("AT", "U99999999"),
    ("BE", "0999999999|1999999999"),
    ("BG", "999999999|9999999999"),
    ("CY", "99999999A"),
    ("CZ", "99999999|999999999|9999999999"),
    ("DE", "999999999"),
    ("DK", "99999999"),
    ("EE", "999999999"),
    ("EL", "999999999"),
    ("ES", "X9999999X"),
    ("FI", "99999999"),
    ("FR", "XX999999999"),
    ("HR", "99999999999"),
    ("HU", "99999999"),
    ("IE", "9X99999A|9999999A|9999999AA"),
    ("IT", "99999999999"),
    ("LT", "999999999|999999999999"),
    ("LU", "99999999"),
    ("LV", "99999999999"),
    ("MT", "99999999"),
    ("NL", "999999999B99"),
    ("PL", "9999999999"),
    ("PT", "999999999"),
    (
        "RO",
        "99|999|9999|99999|999999|9999999|99999999|999999999|9999999999",
    ),
    ("SE", "999999999901"),
    ("SI", "99999999"),
    ("SK", "9999999999"),
];

fn fits(form: &str, text: &str) -> bool {
    form.len() == text.len()
        && form.bytes().zip(text.bytes()).all(|(form, byte)| match form {
            b'9' => byte.is_ascii_digit(),
            b'A' => byte.is_ascii_uppercase(),
            b'X' => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
            exact => exact == byte,
        })
}

/// The digits of `text`; a form has made sure that they are where a rule wants them.
fn digits(text: &str) -> Vec<u64> {
    text.bytes()
        .filter(u8::is_ascii_digit)
        .map(|byte| u64::from(byte - b'0'))
        .collect()
}

fn number(digits: &[u64]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + digit)
}

fn weighted(digits: &[u64], weights: &[u64]) -> u64 {
    digits
        .iter()
        .zip(weights)
        .map(|(digit, weight)| digit * weight)
        .sum()
}

/// Luhn's rule over all digits.
fn luhn(digits: &[u64]) -> bool {
    let sum: u64 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = digit * (1 + place as u64 % 2);
            value / 10 + value % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO 7064 mod 11, 10: Germany and Croatia.
fn mod_11_10(digits: &[u64]) -> bool {
    let Some((check, body)) = digits.split_last() else {
        return false;
    };
    let product = body.iter().fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == *check
}

fn has_check_digits(prefix: &str, rest: &str) -> bool {
    let d = digits(rest);
    match prefix {
        "AT" => {
            let sum: u64 = (0..7)
                .map(|place| {
                    let value = d[place] * (1 + place as u64 % 2);
                    value / 10 + value % 10
                })
                .sum();
            (10 - (sum + 4) % 10) % 10 == d[7]
        }
        "BE" => 97 - number(&d[..8]) % 97 == number(&d[8..]),
        "DE" | "HR" => mod_11_10(&d),
        "DK" => weighted(&d, &[2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11),
        "EL" => weighted(&d, &[256, 128, 64, 32, 16, 8, 4, 2]) % 11 % 10 == d[8],
        "FI" => {
            let rest = weighted(&d, &[7, 9, 10, 5, 8, 4, 2]) % 11;
            rest != 1 && (11 - rest) % 11 == d[7]
        }
        // Keys with letters have another rule; those made of digits follow this one.
        "FR" if d.len() == 11 => {
            let siren = number(&d[2..]);
            number(&d[..2]) == (12 + 3 * (siren % 97)) % 97
        }
        "IT" => luhn(&d),
        "LU" => number(&d[..6]) % 89 == number(&d[6..]),
        "PL" => weighted(&d, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == d[9],
        "PT" => {
            let rest = weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
            (if rest < 2 { 0 } else { 11 - rest }) == d[8]
        }
        "SE" => luhn(&d[..10]),
        "SI" => {
            let check = 11 - weighted(&d, &[8, 7, 6, 5, 4, 3, 2]) % 11;
            check != 11 && check % 10 == d[7]
        }
        // The others' rules depend on the kind of taxpayer: the form has to do.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_numbers_are_valid_and_one_wrong_digit_is_not() {
        // Companies' own numbers, as their imprints show them.
        let known = [
            ("FR", "FR 40 303 265 045"),
            ("DE", "DE 136 695 976"),
            ("AT", "ATU13585627"),
            ("BE", "BE0428759497"),
            ("DK", "DK13585628"),
            ("GR", "EL094259216"),
            ("FI", "FI20774740"),
            ("IT", "IT00743110157"),
            ("LU", "LU15027442"),
            ("PL", "PL8567346215"),
            ("PT", "PT501964843"),
            ("SE", "SE123456789701"),
            ("SI", "SI50223054"),
            ("HR", "HR33392005961"),
            ("NL", "NL004495445B01"),
            ("ES", "ESA12345674"),
            ("IE", "IE6433435F"),
        ];
        for (country, number) in known {
            assert!(is_valid(country, number), "{number}");
        }
        for (country, number) in [
            ("FR", "FR40303265046"),
            ("DE", "DE136695978"),
            ("IT", "IT00743110158"),
            ("PL", "PL8567346216"),
            ("FR", "DE136695976"),
            ("US", "US123"),
            ("DE", ""),
            ("BE", "BE042875949A"),
        ] {
            assert!(!is_valid(country, number), "{number}");
        }
    }
}
