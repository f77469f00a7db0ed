//! When an invoice's clock comes: decisions without I/O.

use kernel::{config, time::Time};

use super::rows::InvoiceRow;
use crate::calendar::{days_after, days_before};

/// Reminded before the due date.
pub(crate) const REMINDED: i32 = 1;
/// Due, and not paid.
pub(crate) const OVERDUE: i32 = 2;
/// Reminded after the due date.
pub(crate) const REMINDED_AGAIN: i32 = 3;
/// Cancelled, because it was not paid as long as it could be.
pub(crate) const OVER: i32 = 4;

/// The stages of an open invoice, and when each begins.
fn stages(invoice: &InvoiceRow, settings: &config::Billing) -> [(i32, Time); 4] {
    [
        (REMINDED, days_before(invoice.due_at, settings.reminder_days)),
        (OVERDUE, invoice.due_at),
        (
            REMINDED_AGAIN,
            days_after(invoice.due_at, settings.second_reminder_days),
        ),
        (OVER, invoice.payable_until),
    ]
}

/// The stage after the present one that begins next, seen from `now`.
pub(crate) fn next_stage(invoice: &InvoiceRow, settings: &config::Billing, now: Time) -> Option<(i32, Time)> {
    stages(invoice, settings)
        .into_iter()
        .filter(|(stage, at)| *stage > invoice.stage && *at > now && *at <= invoice.payable_until)
        .min_by_key(|(stage, at)| (*at, *stage))
}

/// The furthest stage that has begun and is not done: after a standstill, nobody is reminded twice at once.
pub(crate) fn due_stage(invoice: &InvoiceRow, settings: &config::Billing, now: Time) -> Option<i32> {
    stages(invoice, settings)
        .into_iter()
        .filter(|(stage, at)| *stage > invoice.stage && *at <= now)
        .map(|(stage, _)| stage)
        .max()
}
