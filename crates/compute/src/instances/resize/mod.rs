//! Another size: what can be chosen, what it costs, and how it comes about.
//!
//! The host's part of what grows is taken with the request. What is dearer is ordered first, for the rest of the paid
//! time, and carried out once that is paid; the instance gets its new price, and credit for what is cheaper, when the
//! machine has its new size. Whatever fails gives everything back.

mod api;
mod options;
mod order;
mod product;
mod rows;
mod rules;

pub(crate) use self::{
    options::{__path_list_instance_resize_options, list_instance_resize_options},
    order::{__path_resize_instance, resize_instance},
    product::{KIND, Resizes, done, failed},
    rows::waiting,
};
