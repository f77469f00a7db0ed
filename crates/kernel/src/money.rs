//! Exact amounts.

use std::fmt;

use diesel::{deserialize::FromSqlRow, expression::AsExpression, sql_types::BigInt};

/// An exact decimal with four places, kept as a whole number of ten-thousandths.
///
/// Both databases add such numbers without rounding, which neither text nor floating point would do on SQLite.
/// The range is ±922 × 10¹², far above any price. What a field shows (two or four places) is its own matter: see
/// [`Amount::fixed`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = BigInt)]
pub struct Amount(pub(crate) i64);

impl Amount {
    /// So many ten-thousandths.
    pub const fn from_ten_thousandths(value: i64) -> Self {
        Self(value)
    }

    /// So many hundredths (cents).
    pub const fn from_cents(cents: i64) -> Self {
        Self(cents * 100)
    }

    /// The amount in ten-thousandths.
    pub const fn ten_thousandths(self) -> i64 {
        self.0
    }

    /// Reads a decimal such as `12`, `12.5` or `-0.0075`: at most four places, no exponent, no other sign.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && places.is_empty())
            || places.len() > 4
            || !is_number(whole)
            || !is_number(places)
        {
            return None;
        }
        let value: i64 = format!("{whole}{places:0<4}").parse().ok()?;
        Some(Self(if negative { -value } else { value }))
    }

    /// This amount times `numerator / denominator`, rounded half to even to a ten-thousandth.
    ///
    /// A denominator of zero gives zero: there is nothing to take a part of.
    pub fn part(self, numerator: i64, denominator: i64) -> Self {
        if denominator == 0 {
            return Self(0);
        }
        let product = i128::from(self.0) * i128::from(numerator);
        Self(divide_half_even(product, i128::from(denominator)))
    }

    /// This amount times a quantity that is itself a decimal.
    pub fn times(self, quantity: Self) -> Self {
        self.part(quantity.0, 10_000)
    }

    /// So many percent of this amount: a rate of 20 % is the decimal 20.
    pub fn percent(self, rate: Self) -> Self {
        self.part(rate.0, 1_000_000)
    }

    /// This amount in whole cents, rounded half to even: what can be invoiced and paid.
    #[must_use]
    pub fn to_cents(self) -> Self {
        Self(divide_half_even(i128::from(self.0), 100).saturating_mul(100))
    }

    /// Whether this is more than nothing.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The amount as text with `PLACES` decimals (at most four), rounded half to even.
    pub const fn fixed<const PLACES: u32>(self) -> Fixed<PLACES> {
        Fixed(self)
    }
}

/// `dividend / divisor`, rounded half to even, within the range of an amount.
fn divide_half_even(dividend: i128, divisor: i128) -> i64 {
    let (dividend, divisor) = if divisor < 0 {
        (-dividend, -divisor)
    } else {
        (dividend, divisor)
    };
    let (quotient, rest) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    let up = rest * 2 > divisor || (rest * 2 == divisor && quotient.rem_euclid(2) == 1);
    let rounded = quotient + i128::from(up);
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

impl std::ops::Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::Sub for Amount {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::ops::Neg for Amount {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::ops::SubAssign for Amount {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self(0), |sum, amount| sum + amount)
    }
}

/// An [`Amount`] as a decimal string with `PLACES` places: how the API writes decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed<const PLACES: u32>(pub Amount);

impl<const PLACES: u32> fmt::Display for Fixed<PLACES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const { assert!(PLACES >= 1 && PLACES <= 4) };
        let unit = 10_u64.pow(4 - PLACES);
        let magnitude = self.0.0.unsigned_abs();
        let (whole, rest) = (magnitude / unit, magnitude % unit);
        let up = rest * 2 > unit || (rest * 2 == unit && whole % 2 == 1);
        let rounded = whole + u64::from(up);
        let scale = 10_u64.pow(PLACES);
        let sign = if self.0.0 < 0 && rounded > 0 { "-" } else { "" };
        write!(
            f,
            "{sign}{}.{:0width$}",
            rounded / scale,
            rounded % scale,
            width = PLACES as usize
        )
    }
}

impl<const PLACES: u32> serde::Serialize for Fixed<PLACES> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_multiplied_exactly() {
        let amount = |text: &str| Amount::parse(text).unwrap();
        assert_eq!(amount("12.5").ten_thousandths(), 125_000);
        assert_eq!(amount("-.0075").ten_thousandths(), -75);
        for bad in [
            "",
            ".",
            "-",
            "1.23456",
            "1e3",
            "+1",
            "1,5",
            "99999999999999999999",
        ] {
            assert_eq!(Amount::parse(bad), None, "{bad}");
        }
        assert_eq!(amount("19.99").percent(amount("20")).to_cents(), amount("4"));
        assert_eq!(amount("0.25").percent(amount("10")).to_cents(), amount("0.02"));
        assert_eq!(amount("-0.25").percent(amount("10")).to_cents(), amount("-0.02"));
        assert_eq!(amount("10").part(1, 3).to_cents(), amount("3.33"));
        assert_eq!(amount("0.0075").times(amount("24.5")), amount("0.1838"));
    }

    #[test]
    fn amounts_round_half_to_even() {
        let shown = |value| Amount::from_ten_thousandths(value).fixed::<2>().to_string();
        assert_eq!(shown(12_350), "1.24");
        assert_eq!(shown(12_450), "1.24");
        assert_eq!(shown(12_451), "1.25");
        assert_eq!(shown(-50), "0.00");
        assert_eq!(shown(-150), "-0.02");
        assert_eq!(
            Amount::from_ten_thousandths(75).fixed::<4>().to_string(),
            "0.0075"
        );
    }
}
