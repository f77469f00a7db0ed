//! Names of countries in an address: those of the Union and its neighbours, and where French is spoken. All others show
//! the code that the customer gave, as the post understands it, too.

use kernel::language::Language;

/// ISO 3166 code, English name, French name.
const NAMES: [(&str, &str, &str); 38] = [
    ("AT", "Austria", "Autriche"),
    ("BE", "Belgium", "Belgique"),
    ("BG", "Bulgaria", "Bulgarie"),
    ("CA", "Canada", "Canada"),
    ("CH", "Switzerland", "Suisse"),
    ("CY", "Cyprus", "Chypre"),
    ("CZ", "Czechia", "Tchéquie"),
    ("DE", "Germany", "Allemagne"),
    ("DK", "Denmark", "Danemark"),
    ("EE", "Estonia", "Estonie"),
    ("ES", "Spain", "Espagne"),
    ("FI", "Finland", "Finlande"),
    ("FR", "France", "France"),
    ("GB", "United Kingdom", "Royaume-Uni"),
    ("GR", "Greece", "Grèce"),
    ("HR", "Croatia", "Croatie"),
    ("HU", "Hungary", "Hongrie"),
    ("IE", "Ireland", "Irlande"),
    ("IS", "Iceland", "Islande"),
    ("IT", "Italy", "Italie"),
    ("LI", "Liechtenstein", "Liechtenstein"),
    ("LT", "Lithuania", "Lituanie"),
    ("LU", "Luxembourg", "Luxembourg"),
    ("LV", "Latvia", "Lettonie"),
    ("MA", "Morocco", "Maroc"),
    ("MC", "Monaco", "Monaco"),
    ("MT", "Malta", "Malte"),
    ("NL", "Netherlands", "Pays-Bas"),
    ("NO", "Norway", "Norvège"),
    ("PL", "Poland", "Pologne"),
    ("PT", "Portugal", "Portugal"),
    ("RO", "Romania", "Roumanie"),
    ("SE", "Sweden", "Suède"),
    ("SI", "Slovenia", "Slovénie"),
    ("SK", "Slovakia", "Slovaquie"),
    ("TN", "Tunisia", "Tunisie"),
    ("UA", "Ukraine", "Ukraine"),
    ("US", "United States", "États-Unis"),
];

/// The country's name, or its code.
pub(super) fn name(code: &str, language: Language) -> &str {
    let found = NAMES.iter().find(|(known, ..)| *known == code);
    match (found, language) {
        (Some((_, english, _)), Language::En) => english,
        (Some((.., french)), Language::Fr) => french,
        (None, _) => code,
    }
}
