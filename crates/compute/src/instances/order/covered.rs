//! Orders that are carried out only if something pays for them: changes of what runs already leave no open invoice behind.

use billing::{
    Billing,
    orders::{self, NewItem, Placed},
    services::Cycle,
};
use http::StatusCode;
use kernel::{
    access::ProjectScope,
    http::{ApiError, ApiResult},
    id::AnyId,
    json::JsonText,
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use super::items;

/// 402: what is missing of the money.
pub(crate) fn payment_required(missing: Amount, currency: &str) -> ApiError {
    let detail = format!(
        "The organization's credit does not cover this: {} {currency} are missing, and there is no payment method to \
         charge. Nothing was ordered.",
        missing.fixed::<2>()
    );
    ApiError::new(StatusCode::PAYMENT_REQUIRED, "payment_required", detail)
}

/// Places an order of one thing, if the credit or a payment method pays for it.
///
/// # Errors
/// 403 for who may not buy; 402 when nothing pays for it.
pub(crate) fn place_covered<P>(
    tx: &mut Tx<'_>,
    billing: &Billing,
    scope: &ProjectScope<P>,
    item: NewItem,
) -> ApiResult<Placed> {
    let order = items::order(scope, vec![item]);
    let now = tx.now();
    let quote = orders::quote(tx.conn(), billing, &order, now)?;
    orders::may_order(scope.role, &quote)?;
    let placed = orders::place(tx, billing, &order)?;
    if placed.amount_due.is_positive() && placed.payment.is_none() {
        return Err(payment_required(placed.amount_due, &quote.currency));
    }
    Ok(placed)
}

/// The tax that the organization pays now, in percent.
///
/// # Errors
/// The database refused.
pub(crate) fn tax_rate<P>(
    conn: &mut Conn,
    billing: &Billing,
    scope: &ProjectScope<P>,
    now: Time,
) -> Result<Amount, StoreError> {
    let anything = NewItem {
        kind: crate::product::KIND,
        resource: AnyId::new(),
        project: scope.project,
        description: String::new(),
        description_fr: String::new(),
        cycle: Cycle::OneTime,
        setup: Amount::ZERO,
        price: Amount::from_cents(100),
        monthly_cap: None,
        quantity: 1,
        options: JsonText::of(&serde_json::json!({})),
    };
    let order = items::order(scope, vec![anything]);
    Ok(orders::quote(conn, billing, &order, now)?.tax_rate)
}
