//! From what was chosen to what billing is asked for.

use billing::orders::{NewItem, NewOrder, Quote};
use kernel::{
    access::{Project, ProjectScope},
    id::{AnyId, Id},
    json::JsonText,
    money::Amount,
};

use super::{
    api::{EstimateKind, InstanceEstimate, InstanceEstimateLine},
    rules::Choice,
};
use crate::{addons, product};

/// The items of an order: the instance first, then its add-ons with these ids.
pub(super) fn items(
    choice: &Choice,
    project: Id<Project>,
    instance: AnyId,
    addon_ids: &[AnyId],
) -> Vec<NewItem> {
    let place = choice.location.name.as_str();
    let mut items = vec![NewItem {
        kind: product::KIND,
        resource: instance,
        project,
        description: format!("{} ({place})", choice.size.name),
        description_fr: format!("{} ({place})", choice.size.name),
        cycle: choice.cycle.into(),
        setup: Amount::ZERO,
        price: choice.price,
        monthly_cap: choice.monthly_cap,
        quantity: 1,
        options: JsonText::of(&serde_json::json!({})),
    }];
    for (chosen, id) in choice.addons.iter().zip(addon_ids) {
        let Some(offer) = choice.addon(chosen) else {
            continue;
        };
        let french = if offer.addon.name_fr.is_empty() {
            &offer.addon.name
        } else {
            &offer.addon.name_fr
        };
        items.push(NewItem {
            kind: addons::KIND,
            resource: *id,
            project,
            description: format!("{} – {}", choice.size.name, offer.addon.name),
            description_fr: format!("{} – {french}", choice.size.name),
            cycle: chosen.cycle.into(),
            setup: Amount::ZERO,
            price: chosen.price,
            monthly_cap: None,
            quantity: 1,
            options: JsonText::of(&serde_json::json!({})),
        });
    }
    items
}

/// The order, paid from credit first and then by the default payment method.
pub(crate) fn order<P>(scope: &ProjectScope<P>, items: Vec<NewItem>) -> NewOrder {
    NewOrder {
        organization: scope.organization,
        user: Some(scope.caller.user),
        items,
        use_credit: true,
        charge: true,
    }
}

/// What an order would cost, as the API shows it.
pub(super) fn estimate(choice: &Choice, quote: &Quote, quantity: i64) -> InstanceEstimate {
    let many = |price: Amount| price.times(Amount::from_ten_thousandths(quantity.saturating_mul(10_000)));
    let mut lines = vec![InstanceEstimateLine {
        kind: EstimateKind::Size,
        description: format!("{} ({})", choice.size.name, choice.location.name),
        billing_cycle: choice.cycle,
        quantity,
        unit_price: choice.price.fixed(),
        total: many(choice.price).to_cents().fixed(),
    }];
    let mut recurring = many(choice.price).to_cents();
    for chosen in &choice.addons {
        let Some(offer) = choice.addon(chosen) else {
            continue;
        };
        let is_license = choice.image.as_ref().is_some_and(|image| {
            image.requires_license_addon && image.os_name.to_lowercase().starts_with(&offer.addon.slug)
        });
        lines.push(InstanceEstimateLine {
            kind: if is_license {
                EstimateKind::License
            } else {
                EstimateKind::Addon
            },
            description: offer.addon.name.clone(),
            billing_cycle: chosen.cycle.into(),
            quantity,
            unit_price: chosen.price.fixed(),
            total: many(chosen.price).to_cents().fixed(),
        });
        recurring += many(chosen.price).to_cents();
    }
    InstanceEstimate {
        currency: quote.currency.clone(),
        lines,
        subtotal: quote.subtotal.fixed(),
        tax: quote.tax_total.fixed(),
        total: quote.total.fixed(),
        credit_applied: quote.credit_applied.fixed(),
        amount_due: quote.amount_due.fixed(),
        recurring_total: recurring.fixed(),
        due_at: quote.due_at,
        next_billing_date: quote.next_billing.first().copied().flatten(),
    }
}
