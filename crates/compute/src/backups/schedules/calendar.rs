//! When a schedule has its turns.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time as Clock, Weekday},
    tz::TimeZone,
};
use kernel::time::Time;

use super::{api::Frequency, rows::ScheduleRow};

/// Longer than any month between two turns.
const DAYS: i32 = 40;

/// A time of day: `03:00` or `03:00:00`.
pub(super) fn parse_clock(text: &str) -> Option<Clock> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    let format = match text.len() {
        5 => "%H:%M",
        8 => "%H:%M:%S",
        _ => return None,
    };
    Clock::strptime(format, text).ok().filter(|_| is_plain)
}

/// A time zone, by its name in the database of IANA.
pub(super) fn parse_zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// The first turn after `after`. A time of day that the day's change of clocks leaves out comes as much later; one that
/// it has twice, comes once, the first time.
pub(super) fn next(row: &ScheduleRow, after: Time) -> Option<Time> {
    let (clock, zone) = (parse_clock(&row.run_at)?, parse_zone(&row.timezone)?);
    let after = Timestamp::from_microsecond(after.micros()).ok()?;
    // The day before may have a turn still to come where the change of clocks has moved it.
    let first = after
        .to_zoned_datetime(zone.clone())
        .date()
        .checked_sub(1.day())
        .ok()?;
    (0..DAYS)
        .filter_map(|day| first.checked_add(day.days()).ok())
        .filter(|date| is_turn(row, *date))
        .filter_map(|date| zone.to_zoned_datetime(date.to_datetime(clock)).ok())
        .map(|turn| turn.timestamp())
        .find(|turn| *turn > after)
        .map(|turn| Time::from_micros(turn.as_microsecond()))
}

fn is_turn(row: &ScheduleRow, date: Date) -> bool {
    match row.frequency {
        Frequency::Daily => true,
        Frequency::Weekly => row.weekday == Some(i64::from(weekday_number(date.weekday()))),
        Frequency::Monthly => row.day_of_month == Some(i64::from(date.day())),
    }
}

/// 0 is Monday.
fn weekday_number(day: Weekday) -> i8 {
    day.to_monday_zero_offset()
}

#[cfg(test)]
mod tests {
    use kernel::id::Id;

    use super::*;
    use crate::backups::schedules::api::LastStatus;

    fn schedule(frequency: Frequency, run_at: &str, timezone: &str) -> ScheduleRow {
        let now = Time::from_micros(0);
        ScheduleRow {
            id: Id::new(),
            organization_id: Id::new(),
            project_id: Id::new(),
            instance_id: Id::new(),
            name: String::new(),
            frequency,
            run_at: run_at.to_owned(),
            weekday: Some(0),
            day_of_month: Some(28),
            timezone: timezone.to_owned(),
            retention_count: 7,
            retention_days: None,
            is_active: true,
            last_run_at: None,
            last_backup_id: None,
            last_status: LastStatus::Never,
            next_run_at: None,
            created: now,
            modified: now,
        }
    }

    fn turns(row: &ScheduleRow, after: &str, expected: &[&str]) {
        let mut at = Time::parse(after).unwrap();
        for expected in expected {
            at = next(row, at).unwrap();
            assert_eq!(at, Time::parse(expected).unwrap(), "{row:?}");
        }
    }

    #[test]
    fn turns_come_at_the_time_of_day_of_the_place() {
        let daily = schedule(Frequency::Daily, "03:00:00", "UTC");
        turns(
            &daily,
            "2026-11-29T03:00:00Z",
            &["2026-11-30T03:00:00Z", "2026-12-01T03:00:00Z"],
        );
        turns(&daily, "2026-11-29T02:59:59Z", &["2026-11-29T03:00:00Z"]);
        let weekly = schedule(Frequency::Weekly, "23:30", "America/New_York");
        // Mondays there are Tuesdays in UTC.
        turns(
            &weekly,
            "2026-11-29T12:00:00Z",
            &["2026-12-01T04:30:00Z", "2026-12-08T04:30:00Z"],
        );
        let monthly = schedule(Frequency::Monthly, "00:00:00", "Asia/Tokyo");
        turns(
            &monthly,
            "2027-01-28T00:00:00Z",
            &["2027-02-27T15:00:00Z", "2027-03-27T15:00:00Z"],
        );
    }

    #[test]
    fn changes_of_clocks_neither_skip_nor_repeat_a_turn() {
        let spring = schedule(Frequency::Daily, "02:30:00", "Europe/Paris");
        turns(
            &spring,
            "2026-03-27T12:00:00Z",
            &[
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-30T00:30:00Z",
            ],
        );
        turns(
            &spring,
            "2026-10-24T12:00:00Z",
            &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        );
    }

    #[test]
    fn times_of_day_are_read_strictly() {
        for text in ["03:00", "23:59:59", "00:00:00"] {
            assert!(parse_clock(text).is_some(), "{text}");
        }
        for text in [
            "",
            "3:00",
            "24:00",
            "12:60",
            "12:00:00Z",
            "12:00 PM",
            "+2:00",
            "1200",
        ] {
            assert!(parse_clock(text).is_none(), "{text}");
        }
    }
}
