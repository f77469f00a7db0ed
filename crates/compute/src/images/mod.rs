//! Images.
pub mod rows;
