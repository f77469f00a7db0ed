//! What was found, as Markdown on standard output; what is going on, on standard error.

use std::fmt::Display;

/// Says what is being done.
pub(crate) fn step(text: impl Display) {
    eprintln!("· {text}");
}

/// A goal: a figure, and the limit that it should keep.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    what: &'static str,
    limit: Limit,
    figure: f64,
    /// The figures of the rounds, where there were several.
    rounds: Vec<f64>,
    unit: &'static str,
}

/// Which side of a limit is good.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
    /// No goal: told for what it is.
    None,
}

impl Goal {
    /// A figure that was measured in several rounds: the median counts.
    pub(crate) fn of_rounds(what: &'static str, limit: Limit, unit: &'static str, rounds: Vec<f64>) -> Self {
        Self {
            what,
            limit,
            figure: median(&rounds),
            rounds,
            unit,
        }
    }

    /// A figure that was measured once.
    pub(crate) fn of(what: &'static str, limit: Limit, unit: &'static str, figure: f64) -> Self {
        Self {
            what,
            limit,
            figure,
            rounds: Vec::new(),
            unit,
        }
    }

    fn verdict(&self) -> String {
        let is_kept = match self.limit {
            Limit::AtLeast(limit) => self.figure >= limit,
            Limit::AtMost(limit) => self.figure <= limit,
            Limit::Below(limit) => self.figure < limit,
            Limit::None => return "–".to_owned(),
        };
        if is_kept { "kept" } else { "**missed**" }.to_owned()
    }
}

/// Prints the goals.
pub(crate) fn goals(goals: &[Goal]) {
    let rows = goals.iter().map(|goal| {
        let limit = match goal.limit {
            Limit::AtLeast(limit) => format!("≥ {limit}{}", goal.unit),
            Limit::AtMost(limit) => format!("≤ {limit}{}", goal.unit),
            Limit::Below(limit) => format!("< {limit}{}", goal.unit),
            Limit::None => "–".to_owned(),
        };
        let rounds: Vec<String> = goal.rounds.iter().copied().map(figure).collect();
        let figure = format!("{}{}", figure(goal.figure), goal.unit);
        [
            goal.what.to_owned(),
            limit,
            figure,
            rounds.join(" · "),
            goal.verdict(),
        ]
    });
    table("Goals", ["", "goal", "measured", "by round", ""], rows);
}

/// Prints a table with a title.
pub(crate) fn table<const N: usize>(
    title: &str,
    heads: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) {
    println!("\n## {title}\n");
    println!("| {} |", heads.join(" | "));
    println!("|---|{}", "---:|".repeat(N.saturating_sub(1)));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}

/// A figure with as many digits as it deserves.
pub(crate) fn figure(figure: f64) -> String {
    if figure.is_nan() {
        return "–".to_owned();
    }
    if figure.abs() < 100.0 {
        return format!("{figure:.2}");
    }
    let whole = format!("{figure:.0}");
    let (sign, digits) = whole
        .strip_prefix('-')
        .map_or(("", whole.as_str()), |digits| ("-", digits));
    let mut grouped = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The middle one of some figures, or the mean of the two middle ones.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        assert_eq!(figure(1.234_5), "1.23");
        assert_eq!(figure(123.45), "123");
        assert_eq!(figure(1_234_567.0), "1,234,567");
        assert_eq!(figure(-1234.0), "-1,234");
    }

    #[test]
    fn medians_lie_in_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn goals_know_their_side() {
        let verdict = |limit, figure| Goal::of("", limit, "", figure).verdict();
        assert_eq!(verdict(Limit::AtLeast(1.5), 1.5), "kept");
        assert_eq!(verdict(Limit::AtMost(1.5), 1.6), "**missed**");
        assert_eq!(verdict(Limit::Below(5.0), 5.0), "**missed**");
        assert_eq!(verdict(Limit::None, 5.0), "–");
    }
}
