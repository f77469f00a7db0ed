//! The operator's catalogue file: what is on offer, in TOML, named by slugs.
//!
//! A file is the whole offer. It is read and checked ([`CatalogueFile::parse`]), compared with the tables ([`plan`]) and
//! made true in one transaction ([`apply`]). What the tables have and the file has not is taken off offer and stays:
//! instances, invoices and earlier prices refer to it. `docs/catalogue.md` tells operators how to write one.

mod apply;
mod model;
mod plan;
mod present;
mod read;
mod write;

pub use self::{
    apply::{ApplyError, apply, load},
    model::{Addon, CatalogueFile, Image, Location, Price, Size, SizeAddon, Volume},
    plan::{Change, Difference, Noun, Plan, plan},
    present::present,
    read::Fault,
};

#[cfg(test)]
mod tests;
