//! Orders: what was bought together, and completes or unwinds as a whole.
//!
//! Products [`quote`] and [`place`] them in their own operations; here they are read and cancelled.

mod api;
mod cancel;
mod life;
mod list;
mod place;
mod rows;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    life::{look_whether_complete, paid, unwind},
    place::number,
    rows::get,
};
pub use self::{
    place::{NewItem, NewOrder, Placed, Quote, may_order, place, quote},
    rows::{OrderId, OrderKind, OrderStatus},
};
use crate::Billing;

pub(crate) fn routes() -> OpenApiRouter<Billing> {
    OpenApiRouter::new()
        .routes(routes!(list::list_orders))
        .routes(routes!(list::get_order))
        .routes(routes!(cancel::cancel_order))
}
