//! `list_notification_deliveries`.

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    access::{OrganizationScope, Permission},
    http::{ApiError, ApiResult, Page, PageOf, PathId, Query},
};

use super::{
    api::{NotificationDelivery, WebhookId},
    rows::{self, DeliveryRow, DeliveryStatus, WebhookKind},
};
use crate::{notifications::WebhooksRead, schema::webhook_deliveries as deliveries, state::Area};

type DeliveryPage = PageOf<NotificationDelivery>;

/// [Notification Settings] List deliveries of a webhook
///
/// What was posted and what came back, the newest first: the last thousand, for `notifications.keep_days` days.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/notification-settings/webhooks/{id}/deliveries",
    operation_id = "list_notification_deliveries",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        ("id" = inline(WebhookId), Path),
        ("status" = Option<String>, Query, description = "Only deliveries that stand there."),
        ("event" = Option<String>, Query, description = "Only deliveries of this event."),
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
    ),
    responses(
        (status = 200, body = DeliveryPage, description = "Page of deliveries"),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-addition" = json!(true)),
        ("x-permission" = json!(WebhooksRead::NAME)),
        ("x-minimum-role" = json!(WebhooksRead::ROLE.as_str())),
        ("x-scope" = json!(WebhooksRead::SCOPE)),
    )
)]
pub(super) async fn list_notification_deliveries(
    scope: OrganizationScope<WebhooksRead>,
    PathId(id): PathId<WebhookKind>,
    State(Area { identity, .. }): State<Area>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<NotificationDelivery>>> {
    let status = query.choice("status", DeliveryStatus::from_word);
    let event = query.text("event");
    query.check()?;
    let filtered = move || {
        let mut found = deliveries::table
            .filter(deliveries::organization_id.eq(scope.organization))
            .filter(deliveries::webhook_id.eq(id))
            .into_boxed();
        if let Some(status) = status {
            found = found.filter(deliveries::status.eq(status));
        }
        if let Some(event) = event.clone() {
            found = found.filter(deliveries::event.eq(event));
        }
        found
    };
    let read = identity
        .store()
        .read("list_notification_deliveries", move |conn| {
            rows::find(conn, scope.organization, id)?.ok_or_else(ApiError::not_found)?;
            let count = filtered().count().get_result(conn)?;
            let (skip, take) = page.window(count)?;
            let found: Vec<DeliveryRow> = filtered()
                .order((deliveries::created.desc(), deliveries::id.desc()))
                .offset(skip)
                .limit(take)
                .select(DeliveryRow::as_select())
                .load(conn)?;
            page.of(count, found.into_iter().map(NotificationDelivery::from).collect())
                .map(Json)
        });
    read.await
}
