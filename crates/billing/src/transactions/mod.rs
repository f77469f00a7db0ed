//! The credit balance: its movements, and buying more of it.

mod api;
mod list;
mod top_up;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::top_up::top_up_if_low;
use crate::Billing;

pub(crate) fn routes() -> OpenApiRouter<Billing> {
    OpenApiRouter::new()
        .routes(routes!(list::list_billing_transactions))
        .routes(routes!(top_up::top_up_credit))
}
