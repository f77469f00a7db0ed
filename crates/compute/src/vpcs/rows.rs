//! The table of VPCs. Every finder takes the organization and the project.

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable,
    RunQueryDsl, Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project},
    id::Id,
    store::{Conn, StoreError, Tx, sql::MultiBackend},
    time::Time,
};

use super::api::VpcKind;
use crate::{catalogue::api::Location, schema::vpcs};

/// A row of `vpcs`.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = vpcs)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct VpcRow {
    pub id: Id<VpcKind>,
    pub organization_id: Id<Organization>,
    pub project_id: Option<Id<Project>>,
    pub location_id: Id<Location>,
    pub name: String,
    pub cidr_block: String,
    pub is_default: bool,
    pub is_active: bool,
    pub version: i64,
    pub created: Time,
    pub modified: Time,
}

/// The VPCs that a project may use: its own and its organization's shared ones.
pub(crate) fn of_project(
    organization: Id<Organization>,
    project: Id<Project>,
) -> vpcs::BoxedQuery<'static, MultiBackend> {
    vpcs::table
        .filter(vpcs::organization_id.eq(organization))
        .filter(vpcs::project_id.eq(Some(project)).or(vpcs::project_id.is_null()))
        .into_boxed()
}

/// One VPC that a project may use.
pub(crate) fn find(
    conn: &mut Conn,
    organization: Id<Organization>,
    project: Id<Project>,
    id: Id<VpcKind>,
) -> Result<Option<VpcRow>, StoreError> {
    let query = of_project(organization, project)
        .filter(vpcs::id.eq(id))
        .select(VpcRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// The project's default VPC in a location, made now if there is none.
///
/// Two transactions that make it at once meet at the unique index: the second fails and is tried again.
pub(crate) fn default_for(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    project: Id<Project>,
    location: Id<Location>,
    location_slug: &str,
) -> Result<VpcRow, StoreError> {
    let known = vpcs::table
        .filter(vpcs::organization_id.eq(organization))
        .filter(vpcs::project_id.eq(project))
        .filter(vpcs::location_id.eq(location))
        .filter(vpcs::is_default.eq(true))
        .select(VpcRow::as_select())
        .first(tx.conn())
        .optional()?;
    if let Some(row) = known {
        return Ok(row);
    }
    let now = tx.now();
    let row = VpcRow {
        id: Id::new(),
        organization_id: organization,
        project_id: Some(project),
        location_id: location,
        name: format!("default-{location_slug}"),
        cidr_block: "10.0.0.0/16".to_owned(),
        is_default: true,
        is_active: true,
        version: 1,
        created: now,
        modified: now,
    };
    match diesel::insert_into(vpcs::table)
        .values(&row)
        .execute(tx.conn())
        .map_err(StoreError::from)
    {
        Ok(_) => Ok(row),
        Err(StoreError::Duplicate(text)) => Err(StoreError::Contended(text)),
        Err(error) => Err(error),
    }
}
