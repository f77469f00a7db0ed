//! The order in which characters stand on paper.

/// Text as it is drawn from left to right: runs of letters that are written from right to left are turned around.
///
/// Enough for a name within other text. Letters of Arabic are not joined.
pub(super) fn visual_order(text: &str) -> String {
    if !text.chars().any(is_rightward_start) {
        return text.to_owned();
    }
    let characters: Vec<char> = text.chars().collect();
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        if !is_rightward_start(characters[at]) {
            shown.push(characters[at]);
            at += 1;
            continue;
        }
        // The run ends with its last such letter: what only stands between two of them belongs to it.
        let run = characters[at..]
            .iter()
            .take_while(|character| is_rightward_start(**character) || !character.is_alphanumeric());
        let length = run.count();
        let last = characters[at..at + length]
            .iter()
            .rposition(|character| is_rightward_start(*character))
            .unwrap_or_default();
        shown.extend(characters[at..=at + last].iter().rev());
        at += last + 1;
    }
    shown
}

/// Hebrew, Arabic, Syriac, Thaana, N'Ko and their presentation forms.
const fn is_rightward_start(character: char) -> bool {
    matches!(character, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_turned_around() {
        assert_eq!(visual_order("Example Ltd"), "Example Ltd");
        assert_eq!(visual_order("אב גד Ltd"), "דג בא Ltd");
        assert_eq!(visual_order("x אב 12"), "x בא 12");
    }
}
