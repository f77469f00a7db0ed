//! Ordering an instance: what can be wanted, what it costs, and doing it.

mod api;
mod create;
mod estimate;
mod items;
mod rules;

pub(crate) use self::{
    create::{__path_create_instance, create_instance},
    estimate::{__path_estimate_instance, estimate_instance},
};
