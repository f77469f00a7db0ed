//! Days and months: billing counts in both, clocks in microseconds.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Timelike, Utc};
use kernel::time::Time;
use serde::{Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type},
};

fn chrono(time: Time) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.micros()).unwrap_or_default()
}

/// So many days later.
pub fn days_after(time: Time, days: u32) -> Time {
    time + std::time::Duration::from_hours(24 * u64::from(days))
}

/// So many days earlier.
pub fn days_before(time: Time, days: u32) -> Time {
    time - std::time::Duration::from_hours(24 * u64::from(days))
}

/// So many calendar months after `anchor`, on its day of the month or, where a month has no such day, the last one.
///
/// Always counted from the anchor: 31 January, 28 February, 31 March.
pub fn months_after(anchor: Time, months: u32) -> Time {
    chrono(anchor)
        .checked_add_months(Months::new(months))
        .map_or(anchor, |date| Time::from_micros(date.timestamp_micros()))
}

/// The first of the times `anchor + k × months` that is after `time`.
pub fn next_period(anchor: Time, months: u32, time: Time) -> Time {
    let months = months.max(1);
    let (from, to) = (chrono(anchor), chrono(time));
    let apart = (to.year() - from.year()) * 12 + to.month() as i32 - from.month() as i32;
    let mut count = (u32::try_from(apart).unwrap_or(0) / months).saturating_sub(1);
    loop {
        count += 1;
        let end = months_after(anchor, count * months);
        if end > time {
            return end;
        }
    }
}

/// The beginning of the month in which `time` lies.
pub fn month_of(time: Time) -> Time {
    let date = chrono(time).date_naive();
    midnight(date.with_day(1).unwrap_or(date))
}

/// The beginning of the month after the one in which `time` lies.
pub fn next_month(time: Time) -> Time {
    months_after(month_of(time), 1)
}

/// The beginning of the month written as `2026-11`.
pub fn read_month(text: &str) -> Option<Time> {
    NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d")
        .ok()
        .filter(|_| text.len() == 7)
        .map(midnight)
}

/// The month of `time`, as `2026-11`.
pub fn show_month(time: Time) -> String {
    chrono(time).format("%Y-%m").to_string()
}

/// The year of `time`.
pub fn year_of(time: Time) -> i32 {
    chrono(time).year()
}

/// Year; month, day, hour, minute and second of `time`, in UTC.
pub fn clock_of(time: Time) -> (u16, [u8; 5]) {
    let date = chrono(time);
    let parts = [
        date.month(),
        date.day(),
        date.hour(),
        date.minute(),
        date.second(),
    ];
    // None of them is above 59.
    let parts = parts.map(|part| u8::try_from(part).unwrap_or(u8::MAX));
    (u16::try_from(date.year()).unwrap_or_default(), parts)
}

fn midnight(date: NaiveDate) -> Time {
    Time::from_micros(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
}

/// A calendar day in UTC; `2026-11-24` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(NaiveDate);

impl Day {
    /// The day in which `time` lies.
    pub fn of(time: Time) -> Self {
        Self(chrono(time).date_naive())
    }

    /// Reads `2026-11-24`.
    pub fn parse(text: &str) -> Option<Self> {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .filter(|_| text.len() == 10)
            .map(Self)
    }

    /// Year, month and day of the month, the latter two from 1.
    pub fn parts(self) -> (i32, u32, u32) {
        (self.0.year(), self.0.month(), self.0.day())
    }

    /// Its first moment.
    pub fn start(self) -> Time {
        midnight(self.0)
    }

    /// The first moment of the day after it.
    pub fn end(self) -> Time {
        midnight(self.0.checked_add_days(Days::new(1)).unwrap_or(self.0))
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl PartialSchema for Day {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)))
            .into()
    }
}

impl ToSchema for Day {
    fn name() -> Cow<'static, str> {
        "Day".into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    #[test]
    fn months_keep_the_day_of_the_anchor() {
        let anchor = at("2027-01-31T10:00:00Z");
        assert_eq!(months_after(anchor, 1), at("2027-02-28T10:00:00Z"));
        assert_eq!(
            next_period(anchor, 1, at("2027-02-28T10:00:00Z")),
            at("2027-03-31T10:00:00Z")
        );
        assert_eq!(
            next_period(anchor, 12, at("2028-01-31T10:00:00Z")),
            at("2029-01-31T10:00:00Z")
        );
        assert_eq!(month_of(anchor), at("2027-01-01T00:00:00Z"));
        assert_eq!(read_month("2027-02"), Some(at("2027-02-01T00:00:00Z")));
        assert_eq!(read_month("2027-2"), None);
        assert_eq!(Day::parse("2027-02-29"), None);
    }

    proptest! {
        #[test]
        fn a_next_period_follows_at_once(anchor in 0_i64..4_000_000_000, later in 0_i64..200_000_000, months in 1_u32..37) {
            let anchor = Time::from_micros(anchor * 1_000_000);
            let time = Time::from_micros(anchor.micros() + later * 1_000_000);
            let end = next_period(anchor, months, time);
            prop_assert!(end > time);
            // No longer than the cycle, give or take the days by which months differ.
            prop_assert!(end.since(time).as_secs() <= u64::from(months) * 31 * 86_400);
        }
    }
}
