//! What a service's clock does when: decisions without I/O.

use kernel::{money::Amount, time::Time};

use super::{
    cycle::Cycle,
    rows::{ServiceRow, ServiceStatus},
};
use crate::calendar::days_before;

/// What is to be done with a service now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing yet.
    Nothing,
    /// Invoice the next period.
    Renew,
    /// The next period begins, paid.
    Advance,
    /// Hourly use becomes something that is paid ahead.
    Convert,
    /// The next period is not paid.
    Suspend,
    /// It was cancelled, and its paid time is over.
    End,
    /// It was suspended long enough.
    Terminate,
}

/// The cycle from the next period on.
pub(crate) fn coming_cycle(service: &ServiceRow) -> Cycle {
    service.next_cycle.unwrap_or(service.billing_cycle)
}

/// What is to be done at `now`.
pub(crate) fn due(service: &ServiceRow, renewal_days: u32, now: Time) -> Due {
    let is_past = |time: Option<Time>| time.is_some_and(|time| time <= now);
    match service.status {
        ServiceStatus::Pending | ServiceStatus::Provisioning => Due::Nothing,
        ServiceStatus::Terminated | ServiceStatus::Cancelled => Due::Nothing,
        ServiceStatus::Suspended if is_past(service.terminate_at) => Due::Terminate,
        ServiceStatus::Suspended => Due::Nothing,
        ServiceStatus::Active => {
            let Some(end) = service.next_billing_date else {
                return Due::Nothing;
            };
            if service.cancellation_requested_at.is_some() {
                return if end <= now { Due::End } else { Due::Nothing };
            }
            if service.billing_cycle == Cycle::Hourly {
                return if service.next_cycle.is_some() && end <= now {
                    Due::Convert
                } else {
                    Due::Nothing
                };
            }
            // What will be hourly or free needs no invoice ahead.
            if coming_cycle(service).months().is_none() || service.renewal_paid {
                return if end <= now { Due::Advance } else { Due::Nothing };
            }
            if service.renewal_invoice_id.is_none() {
                return if days_before(end, renewal_days) <= now {
                    Due::Renew
                } else {
                    Due::Nothing
                };
            }
            if end <= now && is_past(service.renewal_due) {
                Due::Suspend
            } else {
                Due::Nothing
            }
        }
    }
}

/// When there will be something to do.
pub(crate) fn wake_at(service: &ServiceRow, renewal_days: u32) -> Option<Time> {
    match service.status {
        ServiceStatus::Pending
        | ServiceStatus::Provisioning
        | ServiceStatus::Terminated
        | ServiceStatus::Cancelled => None,
        ServiceStatus::Suspended => service.terminate_at,
        ServiceStatus::Active => {
            let end = service.next_billing_date?;
            if service.cancellation_requested_at.is_some() {
                return Some(end);
            }
            if service.billing_cycle == Cycle::Hourly {
                return service.next_cycle.map(|_| end);
            }
            if coming_cycle(service).months().is_none() || service.renewal_paid {
                return Some(end);
            }
            match service.renewal_invoice_id {
                None => Some(days_before(end, renewal_days)),
                Some(_) => Some(service.renewal_due.map_or(end, |due| due.max(end))),
            }
        }
    }
}

/// The part of `amount` that falls on what is left of a period, rounded half to even to a cent.
pub(crate) fn remaining(amount: Amount, start: Time, end: Time, now: Time) -> Amount {
    let whole = end.micros().saturating_sub(start.micros()).max(1);
    let left = end.micros().saturating_sub(now.micros()).clamp(0, whole);
    amount.part(left, whole).to_cents()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_period_is_a_share_of_its_time() {
        let day = |day: i64| Time::from_micros(day * 86_400_000_000);
        let part = |now| remaining(Amount::from_cents(3000), day(0), day(30), day(now));
        assert_eq!(part(0), Amount::from_cents(3000));
        assert_eq!(part(10), Amount::from_cents(2000));
        assert_eq!(part(30), Amount::ZERO);
        assert_eq!(part(45), Amount::ZERO);
        assert_eq!(
            remaining(Amount::from_cents(1000), day(0), day(30), day(10)),
            Amount::from_cents(667)
        );
    }
}
