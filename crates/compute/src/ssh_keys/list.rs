//! `list_ssh_keys` and `get_ssh_key`.

use axum::{Json, extract::State};
use diesel::{
    BoolExpressionMethods, EscapeExpressionMethods, ExpressionMethods, QueryDsl, RunQueryDsl,
    SelectableHelper, TextExpressionMethods,
};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiError, ApiResult, Page, PageOf, PathId, Query, Versioned, contains_pattern},
    store::{Conn, StoreError},
};

use super::{
    SshKeysRead,
    api::{SSHKey, SSHKeyPage, SshKeyKind},
    rows::{self, SshKeyRow},
};
use crate::{Compute, schema::ssh_keys};

diesel::define_sql_function! {
    /// Lower case: of ASCII letters on SQLite, of all on PostgreSQL.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

#[derive(Clone, Copy)]
enum Order {
    Name,
    Created,
}

/// [SSH Keys] List SSH keys
///
/// All SSH keys the caller may see here.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/ssh-keys",
    tag = "Compute", operation_id = "list_ssh_keys",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("search" = Option<String>, Query, description = "Matches the name and the fingerprint."),
        ("ordering" = Option<String>, Query, description = "One of `name`, `created`; prefix `-` for descending."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "SSH keys", body = SSHKeyPage), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SshKeysRead::NAME)), ("x-minimum-role" = json!(SshKeysRead::ROLE.as_str())),
        ("x-scope" = json!(SshKeysRead::SCOPE))),
)]
pub(crate) async fn list_ssh_keys(
    scope: ProjectScope<SshKeysRead>,
    State(compute): State<Compute>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<SSHKey>>> {
    let search = query.text("search").map(|text| contains_pattern(&text));
    let order = query.ordering(&[("name", Order::Name), ("created", Order::Created)]);
    query.check()?;
    let filtered = move || {
        let mut keys = rows::of_project(scope.project);
        if let Some(pattern) = search.clone() {
            let named = lower(ssh_keys::name).like(pattern.clone()).escape('\\');
            keys = keys.filter(lower(ssh_keys::fingerprint).like(pattern).escape('\\').or(named));
        }
        keys
    };
    let read = compute.app.store().read("list_ssh_keys", move |conn| {
        let count = filtered().count().get_result(conn)?;
        let (skip, take) = page.window(count)?;
        let ordered = match order {
            Some((Order::Name, false)) => filtered().order(ssh_keys::name.asc()),
            Some((Order::Name, true)) => filtered().order(ssh_keys::name.desc()),
            Some((Order::Created, false)) => filtered().order(ssh_keys::created.asc()),
            Some((Order::Created, true)) | None => filtered().order(ssh_keys::created.desc()),
        };
        let rows: Vec<SshKeyRow> = ordered
            .then_order_by(ssh_keys::id.desc())
            .select(SshKeyRow::as_select())
            .offset(skip)
            .limit(take)
            .load(conn)?;
        page.of(count, shown(conn, rows)?).map(Json)
    });
    read.await
}

/// [SSH Keys] Get an SSH key
///
/// Read one SSH key.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/ssh-keys/{id}",
    tag = "Compute", operation_id = "get_ssh_key",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the SSH key."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    responses((status = 200, description = "Done", body = SSHKey), kernel::http::Refusals),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(SshKeysRead::NAME)), ("x-minimum-role" = json!(SshKeysRead::ROLE.as_str())),
        ("x-scope" = json!(SshKeysRead::SCOPE))),
)]
pub(crate) async fn get_ssh_key(
    scope: ProjectScope<SshKeysRead>,
    PathId(id): PathId<SshKeyKind>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<SSHKey>> {
    let read = compute.app.store().read("get_ssh_key", move |conn| {
        let row = rows::find(conn, scope.project, id)?.ok_or_else(ApiError::not_found)?;
        Ok(Versioned {
            version: row.modified.micros(),
            body: one(conn, row)?,
        })
    });
    read.await
}

/// Keys with how many instances carry them: one query.
fn shown(conn: &mut Conn, rows: Vec<SshKeyRow>) -> Result<Vec<SSHKey>, StoreError> {
    let counts = rows::instance_counts(conn, rows.iter().map(|row| row.id).collect())?;
    let keys = rows.into_iter().map(|row| {
        let count = counts.get(&row.id).copied().unwrap_or(0);
        SSHKey::of(row, count)
    });
    Ok(keys.collect())
}

/// One key with how many instances carry it.
pub(super) fn one(conn: &mut Conn, row: SshKeyRow) -> Result<SSHKey, StoreError> {
    let count = rows::instance_counts(conn, vec![row.id])?.get(&row.id).copied();
    Ok(SSHKey::of(row, count.unwrap_or(0)))
}
