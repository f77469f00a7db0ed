//! `list_billing_transactions`.

use std::collections::HashMap;

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiResult, Page, PageOf, Query},
    id::Id,
    time::Time,
};

use super::api::BillingTransaction;
use crate::{
    Billing, BillingRead,
    ledger::{Movement, TransactionRow},
    payment_methods::MethodId,
    payments::PaymentKind,
    people::{self, UserSummary},
    schema::{ledger_transactions, payments},
};

type TransactionPage = PageOf<BillingTransaction>;

/// [Billing] List balance transactions
///
/// Movements of the credit balance, newest first.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/billing/transactions",
    tag = "Organizations", operation_id = "list_billing_transactions",
    params(
        ("type" = Option<String>, Query, description = "Only movements of this type."),
        ("created_after" = inline(Option<Time>), Query, description = "At this time or later."),
        ("created_before" = inline(Option<Time>), Query, description = "Before this time."),
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("organization_id" = String, Path),
    ),
    responses(
        (status = 200, description = "Page of transactions", body = TransactionPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(BillingRead::NAME)), ("x-minimum-role" = json!(BillingRead::ROLE.as_str())),
        ("x-scope" = json!(BillingRead::SCOPE))),
)]
pub(crate) async fn list_billing_transactions(
    scope: OrganizationScope<BillingRead>,
    State(billing): State<Billing>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<BillingTransaction>>> {
    let kind = query.choice("type", Movement::from_word);
    let after = query.time("created_after");
    let before = query.time("created_before");
    query.check()?;
    let filtered = move || {
        let mut found = ledger_transactions::table
            .filter(ledger_transactions::organization_id.eq(scope.organization))
            .filter(ledger_transactions::movement.is_not_null())
            .into_boxed();
        if let Some(kind) = kind {
            found = found.filter(ledger_transactions::movement.eq(kind));
        }
        if let Some(time) = after {
            found = found.filter(ledger_transactions::created.ge(time));
        }
        if let Some(time) = before {
            found = found.filter(ledger_transactions::created.lt(time));
        }
        found
    };
    let read = billing
        .app()
        .store()
        .read("list_billing_transactions", move |conn| {
            let count = filtered().count().get_result(conn)?;
            let (skip, take) = page.window(count)?;
            let found: Vec<TransactionRow> = filtered()
                .order((
                    ledger_transactions::created.desc(),
                    ledger_transactions::id.desc(),
                ))
                .offset(skip)
                .limit(take)
                .select(TransactionRow::as_select())
                .load(conn)?;
            let people = people::summaries(conn, found.iter().map(|row| row.created_by))?;
            let ids: Vec<Id<PaymentKind>> = found.iter().filter_map(|row| row.payment_id).collect();
            let methods: Vec<(Id<PaymentKind>, Option<MethodId>)> = payments::table
                .filter(payments::id.eq_any(ids))
                .select((payments::id, payments::payment_method_id))
                .load(conn)?;
            let methods: HashMap<_, _> = methods.into_iter().collect();
            let shown = found.into_iter().filter_map(|row| {
                let method = row
                    .payment_id
                    .and_then(|payment| methods.get(&payment).copied().flatten());
                let person = row.created_by.and_then(|user| people.get(&user).cloned());
                show(row, method, person)
            });
            page.of(count, shown.collect()).map(Json)
        });
    read.await
}

fn show(
    row: TransactionRow,
    method: Option<MethodId>,
    person: Option<UserSummary>,
) -> Option<BillingTransaction> {
    let TransactionRow {
        id,
        organization_id: _,
        kind: _,
        movement,
        credit_change,
        credit_after,
        currency,
        invoice_id,
        payment_id: _,
        description,
        created_by: _,
        created,
    } = row;
    Some(BillingTransaction {
        id,
        r#type: movement?,
        amount: credit_change.fixed(),
        balance_after: credit_after.fixed(),
        currency,
        description,
        invoice_id,
        payment_method_id: method,
        created_by: person,
        created,
    })
}
