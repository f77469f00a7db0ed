//! The languages that onet speaks.

crate::words! {
    /// Language of mails and console
    pub enum Language {
        /// English
        En = "en",
        /// French
        Fr = "fr",
    }
}
