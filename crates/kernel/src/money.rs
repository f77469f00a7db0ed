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

    /// The amount as text with `PLACES` decimals (at most four), rounded half to even.
    pub const fn fixed<const PLACES: u32>(self) -> Fixed<PLACES> {
        Fixed(self)
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
