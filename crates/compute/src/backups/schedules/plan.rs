//! What a client wants of a schedule, checked, and put into its row.

use kernel::http::Faults;

use super::{
    api::{Frequency, Wanted},
    calendar::{parse_clock, parse_zone},
    rows::ScheduleRow,
};

/// Puts the fields that were sent into the row. `whole`: fields that were not get what they have if nothing is said.
pub(super) fn apply(row: &mut ScheduleRow, wanted: &Wanted, whole: bool) -> Result<(), Faults> {
    if whole {
        row.weekday = None;
        row.day_of_month = None;
        "UTC".clone_into(&mut row.timezone);
        row.retention_count = 7;
        row.retention_days = None;
        row.is_active = true;
    }
    let Wanted {
        name,
        frequency,
        run_at,
        weekday,
        day_of_month,
        timezone,
        retention_count,
        retention_days,
        is_active,
    } = wanted.clone();
    row.name = name.unwrap_or_else(|| row.name.clone());
    row.frequency = frequency.unwrap_or(row.frequency);
    row.run_at = run_at.unwrap_or_else(|| row.run_at.clone());
    row.weekday = weekday.unwrap_or(row.weekday);
    row.day_of_month = day_of_month.unwrap_or(row.day_of_month);
    row.timezone = timezone.unwrap_or_else(|| row.timezone.clone());
    row.retention_count = retention_count.unwrap_or(row.retention_count);
    row.retention_days = retention_days.unwrap_or(row.retention_days);
    row.is_active = is_active.unwrap_or(row.is_active);
    check(row)
}

fn check(row: &mut ScheduleRow) -> Result<(), Faults> {
    let mut faults = Faults::default();
    match parse_clock(&row.run_at) {
        Some(clock) => row.run_at = clock.strftime("%H:%M:%S").to_string(),
        None => faults.add("run_at", "Enter a time of day such as 03:00:00."),
    }
    faults.check(
        "timezone",
        parse_zone(&row.timezone).is_some(),
        "Enter a time zone of the IANA database, such as Europe/Paris.",
    );
    let needs = |wanted, given: bool| row.frequency == wanted && !given;
    faults.check(
        "weekday",
        !needs(Frequency::Weekly, row.weekday.is_some()),
        "A weekly schedule needs a weekday.",
    );
    faults.check(
        "day_of_month",
        !needs(Frequency::Monthly, row.day_of_month.is_some()),
        "A monthly schedule needs a day of the month.",
    );
    let excess = |wanted, given: bool| row.frequency != wanted && given;
    faults.check(
        "weekday",
        !excess(Frequency::Weekly, row.weekday.is_some()),
        "Only a weekly schedule has a weekday.",
    );
    faults.check(
        "day_of_month",
        !excess(Frequency::Monthly, row.day_of_month.is_some()),
        "Only a monthly schedule has a day of the month.",
    );
    faults.into_result()
}
