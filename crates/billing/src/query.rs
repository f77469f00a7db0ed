//! Query parameters that only billing has.

use kernel::http::Query;

use crate::calendar::Day;

/// Days in query strings.
pub(crate) trait DayQuery {
    /// A parameter that is a day such as `2026-11-24`.
    fn day(&mut self, name: &str) -> Option<Day>;
}

impl DayQuery for Query {
    fn day(&mut self, name: &str) -> Option<Day> {
        let text = self.text(name)?;
        let day = Day::parse(&text);
        if day.is_none() {
            self.fault(name, "Enter a valid date.");
        }
        day
    }
}
