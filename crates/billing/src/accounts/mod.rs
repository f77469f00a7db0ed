//! How an organization pays: its settings, its account, and what it owes at a glance.

mod api;
mod rows;
mod settings;
mod summary;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::rows::{AccountRow, find, lock_account, save};
use crate::Billing;

pub(crate) fn routes() -> OpenApiRouter<Billing> {
    OpenApiRouter::new()
        .routes(routes!(summary::get_billing_summary))
        .routes(routes!(
            settings::get_billing_settings,
            settings::update_billing_settings
        ))
}
