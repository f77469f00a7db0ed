//! Machines: what an instance is on a host, and the tasks that make it so.
//!
//! A request writes what is wanted ([`MachineRow`]) and enqueues a task. The task's steps ([`steps`]) read everything
//! anew ([`facts`]), turn it into the driver's words ([`plan`]) and call the driver, which makes its effect true or finds
//! it true.

pub mod facts;
mod guests;
pub mod kinds;
pub mod passwords;
pub mod plan;
pub mod rows;
pub mod state;
pub mod steps;
pub(crate) mod wishes;

pub use self::{
    guests::MachineGuests,
    rows::{MachineRow, Power},
};
