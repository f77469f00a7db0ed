//! Hours and what they cost: no I/O.

use kernel::{money::Amount, time::Time};

/// Microseconds in a ten-thousandth of an hour.
const UNIT: i64 = 360_000;

/// The hours between two times, rounded up to a ten-thousandth. The first use of a service counts an hour at least.
pub(super) fn hours(from: Time, to: Time, is_first: bool) -> Amount {
    let micros = to.micros().saturating_sub(from.micros()).max(0);
    let units = (micros + UNIT - 1) / UNIT;
    Amount::from_ten_thousandths(if is_first { units.max(10_000) } else { units })
}

/// What hours cost, in whole cents, at most `cap`.
pub(super) fn cost(hours: Amount, price: Amount, cap: Option<Amount>) -> Amount {
    let cost = price.times(hours).to_cents();
    cap.map_or(cost, |cap| cost.min(cap.to_cents()).max(Amount::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: f64) -> Time {
        Time::from_micros((hours * 3_600_000_000.0) as i64)
    }

    #[test]
    fn use_is_counted_to_the_second_and_an_hour_at_least() {
        assert_eq!(hours(at(0.0), at(0.1), true).fixed::<4>().to_string(), "1.0000");
        assert_eq!(hours(at(0.0), at(0.1), false).fixed::<4>().to_string(), "0.1000");
        assert_eq!(hours(at(0.0), at(36.5), true).fixed::<4>().to_string(), "36.5000");
        assert_eq!(hours(at(1.0), at(1.0), false), Amount::ZERO);
    }

    #[test]
    fn a_month_costs_no_more_than_its_cap() {
        let price = Amount::from_ten_thousandths(75);
        let month = hours(at(0.0), at(744.0), true);
        assert_eq!(cost(month, price, None), Amount::from_cents(558));
        assert_eq!(
            cost(month, price, Some(Amount::from_cents(500))),
            Amount::from_cents(500)
        );
        assert_eq!(cost(month, price, Some(Amount::from_cents(-1))), Amount::ZERO);
    }
}
