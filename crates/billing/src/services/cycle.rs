//! How often something is billed.

use kernel::words;

words! {
    /// How often it is billed
    pub enum Cycle {
        /// Free
        Free = "free",
        /// One Time
        OneTime = "one_time",
        /// Hourly
        Hourly = "hourly",
        /// Monthly
        Monthly = "monthly",
        /// Quarterly
        Quarterly = "quarterly",
        /// Semi-Annually
        SemiAnnually = "semi_annually",
        /// Annually
        Annually = "annually",
        /// Biennially
        Biennially = "biennially",
        /// Triennially
        Triennially = "triennially",
    }
}

impl Cycle {
    /// How many months a period has that is paid ahead; `None` for what has no such periods.
    pub const fn months(self) -> Option<u32> {
        match self {
            Self::Free | Self::OneTime | Self::Hourly => None,
            Self::Monthly => Some(1),
            Self::Quarterly => Some(3),
            Self::SemiAnnually => Some(6),
            Self::Annually => Some(12),
            Self::Biennially => Some(24),
            Self::Triennially => Some(36),
        }
    }
}
