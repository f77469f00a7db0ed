//! Stored ways to pay: tokens of a payment provider, never numbers of cards.

mod api;
mod create;
mod delete;
mod list;
mod rows;
mod update;

use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::rows::{MethodId, MethodKind, MethodType};
pub(crate) use self::{
    api::PaymentMethod,
    rows::{MethodRow, default_of, find},
};
use crate::Billing;

pub(crate) fn routes() -> OpenApiRouter<Billing> {
    OpenApiRouter::new()
        .routes(routes!(list::list_payment_methods, create::create_payment_method))
        .routes(routes!(
            list::get_payment_method,
            update::update_payment_method,
            delete::delete_payment_method
        ))
}
