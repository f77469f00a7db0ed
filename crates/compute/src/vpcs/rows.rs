//! The table of VPCs. Every finder takes the organization and the project.

use std::time::Duration;

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable,
    RunQueryDsl, Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project},
    id::Id,
    store::{Conn, StoreError, Tx, lock, sql::MultiBackend},
    time::Time,
};

use super::{api::VpcKind, subnets};
use crate::{
    catalogue::api::Location,
    instances::api::InstanceStatus,
    schema::{instances, network_attachments, vpcs},
};

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
        .filter(vpcs::deleted_at.is_null())
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

/// The same, kept from changing until this transaction ends.
pub(super) fn find_locked(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    project: Id<Project>,
    id: Id<VpcKind>,
) -> Result<Option<VpcRow>, StoreError> {
    let query = vpcs::table
        .filter(vpcs::organization_id.eq(organization))
        .filter(vpcs::project_id.eq(Some(project)).or(vpcs::project_id.is_null()))
        .filter(vpcs::deleted_at.is_null())
        .filter(vpcs::id.eq(id))
        .select(VpcRow::as_select());
    Ok(lock("vpcs", query).get_result(tx.conn()).optional()?)
}

/// How many VPCs a project has of its own.
pub(super) fn count(conn: &mut Conn, project: Id<Project>) -> Result<i64, StoreError> {
    Ok(vpcs::table
        .filter(vpcs::project_id.eq(Some(project)))
        .filter(vpcs::deleted_at.is_null())
        .count()
        .get_result(conn)?)
}

/// Whether an instance is in the VPC, or on its way into it or out of it.
pub(super) fn has_members(conn: &mut Conn, id: Id<VpcKind>) -> Result<bool, StoreError> {
    let wanted: i64 = instances::table
        .filter(instances::vpc_id.eq(id))
        .filter(instances::status.ne_all(InstanceStatus::OVER))
        .count()
        .get_result(conn)?;
    let present: i64 = network_attachments::table
        .filter(network_attachments::vpc_id.eq(id))
        .count()
        .get_result(conn)?;
    Ok(wanted + present > 0)
}

/// Writes a new one, with its first subnet.
///
/// # Errors
/// The database refused. Contended, if another transaction makes the same default VPC.
pub fn insert(tx: &mut Tx<'_>, row: &VpcRow) -> Result<(), StoreError> {
    let inserted = diesel::insert_into(vpcs::table).values(row).execute(tx.conn());
    match inserted.map_err(StoreError::from) {
        Ok(_) => subnets::rows::insert_first(tx, row),
        Err(StoreError::Duplicate(text)) => Err(StoreError::Contended(text)),
        Err(error) => Err(error),
    }
}

/// Writes one back, as its next version.
pub(super) fn save(tx: &mut Tx<'_>, row: &mut VpcRow) -> Result<(), StoreError> {
    row.version += 1;
    row.modified = tx.now().max(row.modified + Duration::from_micros(1));
    diesel::update(vpcs::table.find(row.id))
        .set((
            vpcs::name.eq(&row.name),
            vpcs::is_active.eq(row.is_active),
            vpcs::version.eq(row.version),
            vpcs::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Deletes one that nobody is in. Instances that are over still name it.
pub(super) fn delete(tx: &mut Tx<'_>, row: &mut VpcRow) -> Result<(), StoreError> {
    save(tx, row)?;
    diesel::update(vpcs::table.find(row.id))
        .set((
            vpcs::deleted_at.eq(Some(tx.now())),
            vpcs::is_active.eq(false),
            vpcs::is_default.eq(false),
        ))
        .execute(tx.conn())?;
    Ok(())
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
    insert(tx, &row)?;
    Ok(row)
}
