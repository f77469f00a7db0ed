//! `get_billing_settings` and `update_billing_settings`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiResult, Change, Faults, Versioned},
    json::JsonText,
    money::Amount,
    openapi::Patched,
    store::Tx,
    time::Time,
};

use super::{
    api::{BillingSettings, SettingsUpdate},
    rows::{self, AccountRow},
};
use crate::{Billing, BillingManage, BillingRead};

type PatchedBillingSettings = Patched<BillingSettings>;

/// [Billing] Get billing settings
///
/// How invoices are paid and where they go.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/billing/settings",
    tag = "Organizations", operation_id = "get_billing_settings",
    params(("organization_id" = String, Path)),
    responses((status = 200, body = BillingSettings, description = "Billing settings"), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingRead::NAME)), ("x-minimum-role" = json!(BillingRead::ROLE.as_str())),
        ("x-scope" = json!(BillingRead::SCOPE))),
)]
pub(crate) async fn get_billing_settings(
    scope: OrganizationScope<BillingRead>,
    State(billing): State<Billing>,
) -> ApiResult<Versioned<BillingSettings>> {
    let currency = billing.settings().currency.clone();
    let read = billing.app().store().read("get_billing_settings", move |conn| {
        let row = rows::find(conn, scope.organization)?;
        // Never changed: as it began.
        let row = row.unwrap_or_else(|| AccountRow::new(scope.organization, &currency, Time::from_micros(0)));
        Ok(Versioned {
            version: row.modified.micros(),
            body: row.into(),
        })
    });
    read.await
}

/// [Billing] Update billing settings
///
/// Change the settings sent. The currency is the installation's: no other can be chosen.
#[utoipa::path(
    patch, path = "/v1/organizations/{organization_id}/billing/settings",
    tag = "Organizations", operation_id = "update_billing_settings",
    params(("organization_id" = String, Path)),
    request_body(content = PatchedBillingSettings),
    responses(
        (status = 200, body = BillingSettings, description = "Settings updated"),
        (status = 400, description = "Invalid request parameters"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingManage::NAME)), ("x-minimum-role" = json!(BillingManage::ROLE.as_str())),
        ("x-scope" = json!(BillingManage::SCOPE))),
)]
pub(crate) async fn update_billing_settings(
    scope: OrganizationScope<BillingManage>,
    State(billing): State<Billing>,
    change: Change<SettingsUpdate>,
) -> ApiResult<Response> {
    let origin = Origin::caller(&scope.caller, &scope.request);
    let caller = scope.caller.clone();
    let (organization, currency) = (scope.organization, billing.settings().currency.clone());
    let work = move |tx: &mut Tx<'_>, change: &Change<SettingsUpdate>| {
        let is_new = rows::find(tx.conn(), organization)?.is_none();
        let mut row = rows::lock_account(tx, organization, &currency)?;
        let version = if is_new { 0 } else { row.modified.micros() };
        change.check_version(version)?;
        let (wanted, changes) = apply(&row, change.body()?)?;
        if !changes.is_empty() {
            row = wanted;
            row.modified = tx.now();
            rows::save(tx, &row)?;
            let event = Event {
                action: "billing_settings.updated",
                resource_type: "billing_settings",
                resource_id: organization.cast(),
                resource_name: "Billing settings".to_owned(),
                description: "Billing settings changed".to_owned(),
                changes,
                status: AuditStatus::Success,
            };
            tx.audit(&origin, Some(organization), None, &event)?;
        }
        let version = row.modified.micros();
        Ok(Answer::ok(BillingSettings::from(row), version))
    };
    change
        .run(billing.app(), &caller, "update_billing_settings", work)
        .await
}

/// The settings as they will be, and what changes by that.
fn apply(row: &AccountRow, wanted: &SettingsUpdate) -> Result<(AccountRow, Changes), Faults> {
    let mut new = row.clone();
    let mut faults = Faults::default();
    if let Some(currency) = &wanted.currency {
        let message = format!("Only {} is offered here.", row.currency);
        faults.check("currency", *currency == row.currency, message);
    }
    let amount = |faults: &mut Faults, field: &str, text: &Option<Option<String>>, old: Option<Amount>| {
        let Some(text) = text else { return old };
        let read = text
            .as_ref()
            .map(|text| Amount::parse(text).filter(|amount| amount.is_positive()));
        faults.check(
            field,
            read != Some(None),
            "Ensure this value is greater than or equal to 0.01.",
        );
        read.flatten()
    };
    new.auto_top_up_threshold = amount(
        &mut faults,
        "auto_top_up_threshold",
        &wanted.auto_top_up_threshold,
        row.auto_top_up_threshold,
    );
    new.auto_top_up_amount = amount(
        &mut faults,
        "auto_top_up_amount",
        &wanted.auto_top_up_amount,
        row.auto_top_up_amount,
    );
    new.auto_pay = wanted.auto_pay.unwrap_or(row.auto_pay);
    new.use_credit_first = wanted.use_credit_first.unwrap_or(row.use_credit_first);
    new.auto_top_up_enabled = wanted.auto_top_up_enabled.unwrap_or(row.auto_top_up_enabled);
    if new.auto_top_up_enabled {
        let required = "This field is required.";
        if !faults.has("auto_top_up_threshold") {
            faults.check(
                "auto_top_up_threshold",
                new.auto_top_up_threshold.is_some(),
                required,
            );
        }
        if !faults.has("auto_top_up_amount") {
            faults.check("auto_top_up_amount", new.auto_top_up_amount.is_some(), required);
        }
    }
    if let Some(emails) = &wanted.invoice_emails {
        new.invoice_emails = JsonText::of(emails);
    }
    if let Some(text) = &wanted.purchase_order_reference {
        text.clone_into(&mut new.purchase_order_reference);
    }
    if let Some(language) = &wanted.invoice_language {
        let is_known = matches!(language.as_str(), "en" | "fr");
        faults.check(
            "invoice_language",
            is_known,
            format!("\"{language}\" is not a valid choice."),
        );
        language.clone_into(&mut new.invoice_language);
    }
    faults.into_result()?;
    let mut changes = Changes::default();
    let shown = |amount: Option<Amount>| amount.map(|amount| amount.fixed::<2>().to_string());
    changes.note("auto_pay", &row.auto_pay, &new.auto_pay);
    changes.note("use_credit_first", &row.use_credit_first, &new.use_credit_first);
    changes.note(
        "auto_top_up_enabled",
        &row.auto_top_up_enabled,
        &new.auto_top_up_enabled,
    );
    changes.note(
        "auto_top_up_threshold",
        &shown(row.auto_top_up_threshold),
        &shown(new.auto_top_up_threshold),
    );
    changes.note(
        "auto_top_up_amount",
        &shown(row.auto_top_up_amount),
        &shown(new.auto_top_up_amount),
    );
    changes.note("invoice_emails", &row.invoice_emails, &new.invoice_emails);
    changes.note(
        "purchase_order_reference",
        &row.purchase_order_reference,
        &new.purchase_order_reference,
    );
    changes.note("invoice_language", &row.invoice_language, &new.invoice_language);
    Ok((new, changes))
}
