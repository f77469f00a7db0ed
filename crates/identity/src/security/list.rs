//! `list_security_events`.

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper};
use kernel::{
    access::{Authenticated, CredentialId, User},
    http::{ApiResult, Page, PageOf, Query},
    id::{AnyId, Id},
    json::JsonText,
    store::{Conn, StoreError, sql::MultiBackend},
    time::Time,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::SecurityEvent as Kind;
use crate::{auth::refusals::Reading, login_only, schema::security_events, state::Area};

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new().routes(routes!(list_security_events))
}

/// Something that happened to the caller's account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecurityEvent {
    #[schema(read_only)]
    id: AnyId,
    #[schema(read_only)]
    event: Kind,
    /// IPv4 or IPv6 address
    #[schema(required, read_only)]
    ip_address: Option<String>,
    /// Approximate place derived from the address; null, since onet has no such data.
    #[schema(required, read_only, max_length = 255)]
    location: Option<String>,
    #[schema(read_only, max_length = 512)]
    user_agent: String,
    #[schema(required, read_only)]
    session_id: Option<CredentialId>,
    /// Facts of this kind of event.
    #[schema(read_only, schema_with = crate::auth::free_object)]
    metadata: JsonText,
    #[schema(read_only)]
    created: Time,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = security_events)]
struct EventRow {
    id: AnyId,
    event: Kind,
    ip_address: Option<String>,
    user_agent: String,
    session_id: Option<CredentialId>,
    metadata: JsonText,
    created: Time,
}

impl From<EventRow> for SecurityEvent {
    fn from(row: EventRow) -> Self {
        let EventRow {
            id,
            event,
            ip_address,
            user_agent,
            session_id,
            metadata,
            created,
        } = row;
        Self {
            id,
            event,
            ip_address,
            location: None,
            user_agent,
            session_id,
            metadata,
            created,
        }
    }
}

/// Which events are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    user: Id<User>,
    event: Option<Kind>,
    after: Option<Time>,
    before: Option<Time>,
}

impl Wanted {
    fn query<'a>(self) -> security_events::BoxedQuery<'a, MultiBackend> {
        let mut query = security_events::table
            .filter(security_events::user_id.eq(self.user))
            .into_boxed();
        if let Some(event) = self.event {
            query = query.filter(security_events::event.eq(event));
        }
        if let Some(after) = self.after {
            query = query.filter(security_events::created.ge(after));
        }
        if let Some(before) = self.before {
            query = query.filter(security_events::created.le(before));
        }
        query
    }

    fn count(self, conn: &mut Conn) -> Result<i64, StoreError> {
        Ok(self.query().count().get_result(conn)?)
    }

    fn load(self, conn: &mut Conn, skip: i64, take: i64) -> Result<Vec<EventRow>, StoreError> {
        let query = self
            .query()
            .order((security_events::created.desc(), security_events::id.desc()))
            .offset(skip)
            .limit(take)
            .select(EventRow::as_select());
        Ok(query.load(conn)?)
    }
}

/// Named, as the macro of operations wants it.
type SecurityEventPage = PageOf<SecurityEvent>;

/// [Sessions] List security events
///
/// Logins, failures and credential changes of the current user, newest first.
#[utoipa::path(
    get,
    path = "/v1/auth/security-events",
    operation_id = "list_security_events",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    params(
        ("page" = inline(Option<isize>), Query, nullable = false, minimum = 1,
            description = "Page, from 1; `last` for the last"),
        ("page_size" = inline(Option<isize>), Query, nullable = false, minimum = 1, maximum = 100,
            description = "Events a page, 20 by default"),
        ("event" = inline(Option<Kind>), Query, nullable = false, description = "Of this kind"),
        ("created_after" = inline(Option<Time>), Query, nullable = false, description = "At this time or later"),
        ("created_before" = inline(Option<Time>), Query, nullable = false,
            description = "At this time or earlier"),
    ),
    responses((status = 200, body = SecurityEventPage, description = "Page of security events"), Reading),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn list_security_events(
    Authenticated { caller, .. }: Authenticated,
    page: Page,
    State(Area { identity, .. }): State<Area>,
    mut query: Query,
) -> ApiResult<Json<SecurityEventPage>> {
    login_only(&caller)?;
    let wanted = Wanted {
        user: caller.user,
        event: query.choice("event", Kind::from_word),
        after: query.time("created_after"),
        before: query.time("created_before"),
    };
    query.check()?;
    identity
        .store()
        .read("list_security_events", move |conn| {
            let count = wanted.count(conn)?;
            let (skip, take) = page.window(count)?;
            let events = wanted.load(conn, skip, take)?;
            page.of(count, events.into_iter().map(SecurityEvent::from).collect())
        })
        .await
        .map(Json)
}
