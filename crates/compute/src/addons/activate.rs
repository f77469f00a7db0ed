//! `activate_instance_addon`.

use axum::{extract::State, response::Response};
use billing::{orders::NewItem, services::Cycle};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults, PathId},
    id::Id,
    json::JsonText,
    money::Amount,
    store::Tx,
};

use super::{
    KIND,
    api::InstanceAddonActivate,
    rows::{self, AddonState, InstanceAddonRow},
};
use crate::{
    Compute,
    catalogue::{
        api::{BillingType, InstanceSizeAddon, PriceCycle},
        prices::addon_price,
    },
    instances::{InstancesOrder, actions::Action, api::InstanceKind, order},
    orders::InstanceOrder,
};

/// [Instances] Activate an addon for a compute instance
///
/// Order an addon, such as the snapshot or backup service, for an existing instance. An order is written; account credit
/// is used first, then the stored payment method. Nothing is ordered if neither pays for it.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/addons/activate",
    tag = "Compute", operation_id = "activate_instance_addon",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceAddonActivate),
    responses(
        (status = 201, description = "Addon activation order created successfully", body = InstanceOrder),
        (status = 400, description = "The request does not validate"),
        (status = 402, description = "Payment needed or payment method refused"),
        (status = 409, description = "The addon is active already"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOrder::NAME)), ("x-minimum-role" = json!(InstancesOrder::ROLE.as_str())),
        ("x-scope" = json!(InstancesOrder::SCOPE))),
)]
pub(crate) async fn activate_instance_addon(
    scope: ProjectScope<InstancesOrder>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstanceAddonActivate>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work = move |tx: &mut Tx<'_>,
                     change: &http::Change<InstanceAddonActivate>|
          -> ApiResult<Answer<InstanceOrder>> {
        // Whoever moves money locks the account before the instance.
        billing::lock_account(tx, &compute.billing, scope.organization)?;
        let action = Action::begin(tx, &scope, id)?;
        change.check_version(action.row.version)?;
        let body = change.body()?;
        let size = catalogue.size(action.row.size_id).cloned();
        let size = size.ok_or_else(|| ApiError::unavailable("The catalogue is being refreshed."))?;
        let (offer, cycle, price) = judge(&size.available_addons, body)?;
        action.must_be_in_force()?;
        if offer.is_included {
            return Err(ApiError::conflict("The add-on is part of the instance's size."));
        }
        let live = rows::live(tx.conn(), id)?;
        if let Some(row) = live.iter().find(|row| row.addon_id == offer.addon.id) {
            return Err(ApiError::conflict(match row.status {
                AddonState::Pending => "The add-on is ordered already; its order waits for payment.",
                AddonState::Cancelling => "The add-on is active until its paid time is over.",
                AddonState::Active | AddonState::Ended => "The add-on is active already.",
            }));
        }
        let row = InstanceAddonRow {
            id: Id::new(),
            organization_id: scope.organization,
            project_id: scope.project,
            instance_id: id,
            addon_id: offer.addon.id,
            status: AddonState::Pending,
            billing_cycle: cycle,
            price,
            activated_at: None,
            created: tx.now(),
            modified: tx.now(),
        };
        rows::insert(tx, &row)?;
        let mut changes = Changes::default();
        changes.note("addon", &None, &Some(&offer.addon.slug));
        changes.note("billing_cycle", &None, &Some(cycle));
        let text = format!("Ordered {} for instance {}", offer.addon.name, action.row.name);
        action.audit(tx, "instance.addon_ordered", text, changes)?;
        let placed = order::place_covered(tx, &compute.billing, &scope, item(&size.name, offer, &row))?;
        let path = format!(
            "/v1/organizations/{}/projects/{}/compute/instances/{id}/addons",
            scope.organization, scope.project
        );
        Ok(Answer::created(InstanceOrder::of(&placed), None, path))
    };
    change.run(&app, &caller, "activate_instance_addon", work).await
}

/// Finds what is ordered in what the size offers.
fn judge<'a>(
    offers: &'a [InstanceSizeAddon],
    body: &InstanceAddonActivate,
) -> Result<(&'a InstanceSizeAddon, PriceCycle, Amount), Faults> {
    let id = body.addon_id;
    let found = offers
        .iter()
        .find(|offer| offer.addon.id == id && offer.is_active && offer.addon.is_active);
    let Some(offer) = found else {
        return Err(Faults::one(
            "addon_id",
            format!("The size does not offer the add-on \"{id}\"."),
        ));
    };
    let cycle = PriceCycle::from_word(body.billing_cycle.as_str()).unwrap_or(PriceCycle::Monthly);
    match addon_price(offer, cycle) {
        Some(price) => Ok((offer, cycle, price)),
        None if offer.is_included => Ok((offer, cycle, Amount::ZERO)),
        None => Err(Faults::one(
            "billing_cycle",
            format!(
                "This add-on has no active price for the billing cycle \"{}\".",
                cycle.as_str()
            ),
        )),
    }
}

fn item(size: &str, offer: &InstanceSizeAddon, row: &InstanceAddonRow) -> NewItem {
    let addon = &offer.addon;
    let french = if addon.name_fr.is_empty() {
        &addon.name
    } else {
        &addon.name_fr
    };
    NewItem {
        kind: KIND,
        resource: row.id.cast(),
        project: row.project_id,
        description: format!("{size} – {}", addon.name),
        description_fr: format!("{size} – {french}"),
        cycle: match addon.billing_type {
            BillingType::Recurring => row.billing_cycle.into(),
            BillingType::OneTime => Cycle::OneTime,
        },
        setup: Amount::ZERO,
        price: row.price,
        monthly_cap: None,
        quantity: 1,
        options: JsonText::of(&serde_json::json!({})),
    }
}
