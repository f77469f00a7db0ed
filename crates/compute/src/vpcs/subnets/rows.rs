//! The table of subnets. The VPC has been found by its scope.

use std::collections::HashMap;

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper, dsl::count_star,
};
use kernel::{
    access::Organization,
    id::Id,
    json::JsonText,
    store::{Conn, StoreError, Tx, lock},
    time::Time,
};

use super::api::SubnetId;
use crate::{
    schema::{private_addresses, vpc_subnets},
    vpcs::{api::VpcKind, rows::VpcRow},
};

/// A row of `vpc_subnets`.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = vpc_subnets, treat_none_as_null = true)]
pub struct SubnetRow {
    pub id: SubnetId,
    pub organization_id: Id<Organization>,
    pub vpc_id: Id<VpcKind>,
    pub name: String,
    pub cidr_block: String,
    pub gateway: Option<String>,
    pub dhcp_enabled: bool,
    pub dns_servers: JsonText,
    pub is_active: bool,
    pub created: Time,
    pub modified: Time,
}

/// The first subnet of a new VPC: its whole block.
pub(in crate::vpcs) fn insert_first(tx: &mut Tx<'_>, vpc: &VpcRow) -> Result<(), StoreError> {
    let row = SubnetRow {
        id: Id::new(),
        organization_id: vpc.organization_id,
        vpc_id: vpc.id,
        name: "default".to_owned(),
        cidr_block: vpc.cidr_block.clone(),
        gateway: None,
        dhcp_enabled: true,
        dns_servers: JsonText::of(&serde_json::json!([])),
        is_active: true,
        created: vpc.created,
        modified: vpc.created,
    };
    insert(tx, &row)
}

/// Writes a new one.
pub(super) fn insert(tx: &mut Tx<'_>, row: &SubnetRow) -> Result<(), StoreError> {
    diesel::insert_into(vpc_subnets::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// The subnets of a VPC, oldest first.
pub(in crate::vpcs) fn of_vpc(conn: &mut Conn, vpc: Id<VpcKind>) -> Result<Vec<SubnetRow>, StoreError> {
    Ok(vpc_subnets::table
        .filter(vpc_subnets::vpc_id.eq(vpc))
        .order((vpc_subnets::created, vpc_subnets::id))
        .select(SubnetRow::as_select())
        .load(conn)?)
}

/// One subnet of a VPC.
pub(super) fn find(conn: &mut Conn, vpc: Id<VpcKind>, id: SubnetId) -> Result<Option<SubnetRow>, StoreError> {
    Ok(vpc_subnets::table
        .filter(vpc_subnets::vpc_id.eq(vpc))
        .filter(vpc_subnets::id.eq(id))
        .select(SubnetRow::as_select())
        .first(conn)
        .optional()?)
}

/// The same, kept from changing until this transaction ends.
pub(in crate::vpcs) fn find_locked(
    tx: &mut Tx<'_>,
    vpc: Id<VpcKind>,
    id: SubnetId,
) -> Result<Option<SubnetRow>, StoreError> {
    let query = vpc_subnets::table
        .filter(vpc_subnets::vpc_id.eq(vpc))
        .filter(vpc_subnets::id.eq(id))
        .select(SubnetRow::as_select());
    Ok(lock("vpc_subnets", query).get_result(tx.conn()).optional()?)
}

/// How many addresses of each subnet are taken.
pub(super) fn taken(conn: &mut Conn, ids: Vec<SubnetId>) -> Result<HashMap<SubnetId, i64>, StoreError> {
    let counts: Vec<(SubnetId, i64)> = private_addresses::table
        .filter(private_addresses::subnet_id.eq_any(ids))
        .group_by(private_addresses::subnet_id)
        .select((private_addresses::subnet_id, count_star()))
        .load(conn)?;
    Ok(counts.into_iter().collect())
}

/// Writes one back.
pub(super) fn save(tx: &mut Tx<'_>, row: &SubnetRow) -> Result<(), StoreError> {
    diesel::update(vpc_subnets::table.find(row.id))
        .set(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Forgets one that nobody has an address of.
pub(super) fn delete(tx: &mut Tx<'_>, id: SubnetId) -> Result<(), StoreError> {
    diesel::delete(vpc_subnets::table.find(id)).execute(tx.conn())?;
    Ok(())
}
