//! Add-ons of instances: ordered with an instance or later, each a service of its own in billing.

mod product;
pub mod rows;

pub(crate) use self::product::begin;
pub use self::product::{Addons, KIND};
