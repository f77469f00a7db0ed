//! Ordering an instance: what can be wanted, what it costs, and doing it.

mod api;
mod covered;
mod create;
mod estimate;
mod items;
mod rules;

pub(crate) use self::{
    api::SecretDocument,
    covered::{payment_required, place_covered, tax_rate},
    create::{__path_create_instance, create_instance},
    estimate::{__path_estimate_instance, estimate_instance},
    items::order,
    rules::{check_room, is_license, user_data_fault},
};
