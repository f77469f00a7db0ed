//! `create_payment_method`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, Faults},
    store::Tx,
};

use super::{
    api::{NewMethod, PaymentMethod},
    rows::{self, MethodId, MethodRow},
};
use crate::{
    Billing, BillingManage, accounts,
    payments::{self, DriverError},
};

/// Stored methods of an organization.
const MOST_METHODS: usize = 20;

/// [Billing] Add a payment method
///
/// Store a payment method from a provider token. The first one becomes the default.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/billing/payment-methods",
    tag = "Organizations", operation_id = "create_payment_method",
    params(("organization_id" = String, Path)),
    request_body(content = PaymentMethod),
    responses(
        (status = 201, body = PaymentMethod, description = "Payment method added"),
        (status = 400, description = "Invalid request parameters"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingManage::NAME)), ("x-minimum-role" = json!(BillingManage::ROLE.as_str())),
        ("x-scope" = json!(BillingManage::SCOPE))),
)]
pub(crate) async fn create_payment_method(
    scope: OrganizationScope<BillingManage>,
    State(billing): State<Billing>,
    change: Change<NewMethod>,
) -> ApiResult<Response> {
    let wanted = change.body()?;
    if wanted.provider_token.is_empty() {
        return Err(Faults::one("provider_token", "This field is required.").into());
    }
    let organization = scope.organization;
    let driver = billing
        .first_driver()
        .map(|driver| driver.name())
        .unwrap_or_default();
    let known = billing.app().store().read("known_payment_method", move |conn| {
        rows::newest_reference(conn, organization, driver)
    });
    let known = known.await?;
    // The provider is asked before the transaction, in which nothing but the database may be touched.
    let attached = payments::attach(
        &billing,
        scope.organization,
        wanted.r#type,
        &wanted.provider_token,
        known,
    )
    .await;
    let attached = attached.ok_or_else(|| {
        ApiError::refused(
            "No payment provider is set up here: invoices are paid from credit, or as the operator says.",
        )
    })?;
    let (driver, attached) = attached.map_err(|error| match error {
        DriverError::Refused(reason) => Faults::one("provider_token", reason).into(),
        DriverError::Unreachable(detail) => {
            tracing::warn!(detail, "the payment provider can't be reached");
            ApiError::unavailable("The payment provider can't be reached. Try again later.")
        }
    })?;
    let origin = Origin::caller(&scope.caller, &scope.request);
    let caller = scope.caller.clone();
    let currency = billing.settings().currency.clone();
    let work = move |tx: &mut Tx<'_>, change: &Change<NewMethod>| {
        let wanted = change.body()?;
        accounts::lock_account(tx, organization, &currency)?;
        let known = rows::all(tx.conn(), organization)?;
        if known.len() >= MOST_METHODS {
            let detail = format!("There are {MOST_METHODS} payment methods already: remove one first.");
            return Err(ApiError::refused(detail));
        }
        let is_default = wanted.is_default || known.is_empty();
        if is_default {
            rows::clear_default(tx, organization)?;
        }
        let now = tx.now();
        let (exp_month, exp_year) = attached.expires.unzip();
        let row = MethodRow {
            id: MethodId::new(),
            organization_id: organization,
            driver: driver.to_owned(),
            kind: wanted.r#type,
            label: wanted.label.clone(),
            brand: attached.brand.clone(),
            last4: attached.last4.clone(),
            exp_month,
            exp_year,
            paypal_email: attached.paypal_email.clone(),
            is_default,
            reference: attached.reference.clone(),
            removed_at: None,
            created: now,
            modified: now,
        };
        rows::insert(tx, &row)?;
        tx.audit(&origin, Some(organization), None, &event(&row))?;
        let path = format!(
            "/v1/organizations/{organization}/billing/payment-methods/{}",
            row.id
        );
        Ok(Answer::created(
            PaymentMethod::at(now, row.clone()),
            Some(now.micros()),
            path,
        ))
    };
    change
        .run(billing.app(), &caller, "create_payment_method", work)
        .await
}

fn event(row: &MethodRow) -> Event {
    let mut changes = Changes::default();
    changes.note("type", &None, &Some(row.kind.as_str()));
    changes.note("is_default", &None, &Some(row.is_default));
    Event {
        action: "payment_method.created",
        resource_type: "payment_method",
        resource_id: row.id.cast(),
        resource_name: row.label.clone(),
        description: "Payment method added".to_owned(),
        changes,
        status: AuditStatus::Success,
    }
}
