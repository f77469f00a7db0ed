//! Second factors: authenticator app, codes by mail, recovery codes, trusted devices, and confirming who one is.

mod guesses;
mod person;
mod setup;
mod trust;
