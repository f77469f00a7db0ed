//! What is measured, one file each.

pub(crate) mod boots;
pub(crate) mod lists;
pub(crate) mod logins;
pub(crate) mod machines;
pub(crate) mod resources;
pub(crate) mod statements;
pub(crate) mod storms;
