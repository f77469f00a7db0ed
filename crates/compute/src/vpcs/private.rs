//! Private addresses: which instance has which in a VPC.
//!
//! An address is given when an instance is to be in a VPC, and kept until it is in no need of it: one that moves has an
//! address in both until it has arrived, so that a move that fails finds the old one.

use std::net::IpAddr;

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl, Selectable,
    SelectableHelper,
    dsl::{exists, not},
};
use kernel::{
    http::{ApiError, ApiResult, Faults},
    id::{Any, Id},
    store::{Conn, StoreError, Tx},
    time::Time,
};

use super::{
    api::VpcKind,
    subnets::{
        api::SubnetId,
        rows::{self as subnets, SubnetRow},
        rules,
    },
};
use crate::{
    instances::api::InstanceKind,
    schema::{instances, network_attachments, private_addresses, vpc_subnets},
};

/// A row of `private_addresses`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = private_addresses)]
pub struct PrivateRow {
    pub id: Id<Any>,
    pub vpc_id: Id<VpcKind>,
    pub subnet_id: SubnetId,
    pub instance_id: Id<InstanceKind>,
    pub address: String,
    pub position: i64,
    pub created: Time,
}

/// What is asked of an address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) subnet: Option<SubnetId>,
    pub(crate) address: Option<String>,
}

/// The field that an address is asked by.
pub(crate) type Field = &'static str;

/// Gives the instance an address in the VPC, the next free one unless it asks for another; one that it has there is kept.
/// A VPC without subnets has no addresses to give.
///
/// # Errors
/// 400 if what is asked for can't be had; 409 if nothing is free.
pub(crate) fn assign(
    tx: &mut Tx<'_>,
    instance: Id<InstanceKind>,
    vpc: Id<VpcKind>,
    wish: &Wish,
    field: Field,
) -> ApiResult<()> {
    let known: Option<PrivateRow> = of_instance_in(tx.conn(), instance, vpc)?;
    if known.is_some() && wish.subnet.is_none() && wish.address.is_none() {
        return Ok(());
    }
    let candidates = candidates(tx, vpc, wish, field)?;
    if candidates.is_empty() {
        return Ok(());
    }
    if let Some(known) = known {
        diesel::delete(private_addresses::table.find(known.id)).execute(tx.conn())?;
    }
    let Some((subnet, position)) = pick(tx, vpc, &candidates, wish, field)? else {
        let full: Vec<&str> = candidates
            .iter()
            .map(|subnet| subnet.cidr_block.as_str())
            .collect();
        let text = format!("No address is free in {}.", full.join(", "));
        return Err(ApiError::conflict(text));
    };
    let address = rules::range(&subnet).and_then(|range| range.at(position));
    let address = address.ok_or_else(|| ApiError::internal("an address outside of its subnet"))?;
    let row = PrivateRow {
        id: Id::new(),
        vpc_id: vpc,
        subnet_id: subnet.id,
        instance_id: instance,
        address: address.to_string(),
        position,
        created: tx.now(),
    };
    let inserted = diesel::insert_into(private_addresses::table)
        .values(&row)
        .execute(tx.conn());
    match inserted.map_err(StoreError::from) {
        Ok(_) => Ok(()),
        Err(StoreError::Duplicate(text)) => Err(StoreError::Contended(text).into()),
        Err(error) => Err(error.into()),
    }
}

/// The first of the subnets that has the address, or a free one, locked: of two that want the last address, one gets it.
fn pick(
    tx: &mut Tx<'_>,
    vpc: Id<VpcKind>,
    candidates: &[SubnetRow],
    wish: &Wish,
    field: Field,
) -> ApiResult<Option<(SubnetRow, i64)>> {
    for candidate in candidates {
        // Deleted meanwhile, if it is not there.
        let Some(subnet) = subnets::find_locked(tx, vpc, candidate.id)? else {
            continue;
        };
        let position = match &wish.address {
            Some(text) => Some(named(tx.conn(), &subnet, text, field)?),
            None => next_free(tx.conn(), &subnet)?,
        };
        if let Some(position) = position {
            return Ok(Some((subnet, position)));
        }
    }
    Ok(None)
}

/// The subnets that the address may come from: the one that is asked for, the one that has the address, or all in use.
fn candidates(tx: &mut Tx<'_>, vpc: Id<VpcKind>, wish: &Wish, field: Field) -> ApiResult<Vec<SubnetRow>> {
    let mut all = subnets::of_vpc(tx.conn(), vpc)?;
    if let Some(id) = wish.subnet {
        all.retain(|subnet| subnet.id == id);
        let fault = match all.first() {
            None => format!("Invalid pk \"{id}\" - object does not exist."),
            Some(subnet) if !subnet.is_active => "This subnet is not active.".to_owned(),
            Some(_) => return Ok(all),
        };
        return Err(Faults::one("subnet_id", fault).into());
    }
    all.retain(|subnet| subnet.is_active);
    let Some(text) = &wish.address else {
        return Ok(all);
    };
    let Ok(address) = text.parse::<IpAddr>() else {
        return Err(Faults::one(field, "Enter an IP address.").into());
    };
    all.retain(|subnet| rules::range(subnet).is_some_and(|range| range.position(address).is_some()));
    if all.is_empty() {
        return Err(Faults::one(field, "No subnet of the VPC has this address.").into());
    }
    Ok(all)
}

/// The position of an address that was asked for by its name.
fn named(conn: &mut Conn, subnet: &SubnetRow, text: &str, field: Field) -> ApiResult<i64> {
    let Ok(address) = text.parse::<IpAddr>() else {
        return Err(Faults::one(field, "Enter an IP address.").into());
    };
    let position = rules::range(subnet).and_then(|range| range.position(address));
    let Some(position) = position else {
        return Err(Faults::one(field, "The subnet does not have this address.").into());
    };
    if rules::gateway(subnet) == Some(address) {
        return Err(Faults::one(field, "This is the subnet's gateway.").into());
    }
    if !is_free(conn, subnet, Some(address))? {
        return Err(Faults::one(field, "Another member has this address.").into());
    }
    Ok(position)
}

/// Whether nobody has an address of the subnet.
pub(super) fn is_free(
    conn: &mut Conn,
    subnet: &SubnetRow,
    address: Option<IpAddr>,
) -> Result<bool, StoreError> {
    let position = address.and_then(|address| rules::range(subnet)?.position(address));
    let Some(position) = position else {
        return Ok(true);
    };
    let taken: i64 = private_addresses::table
        .filter(private_addresses::subnet_id.eq(subnet.id))
        .filter(private_addresses::position.eq(position))
        .count()
        .get_result(conn)?;
    Ok(taken == 0)
}

/// The lowest position that nobody has, the gateway's left out; none if the subnet is full. One row is read, however many
/// members there are: the free one behind the first that has nobody behind it, or at the beginning, or behind the gateway.
fn next_free(conn: &mut Conn, subnet: &SubnetRow) -> Result<Option<i64>, StoreError> {
    let Some(range) = rules::range(subnet) else {
        return Ok(None);
    };
    let gateway = rules::gateway(subnet)
        .and_then(|address| range.position(address))
        .unwrap_or(-1);
    let starts: Vec<i64> = [0, gateway + 1]
        .into_iter()
        .filter(|position| *position != gateway)
        .collect();
    let taken: Vec<i64> = private_addresses::table
        .filter(private_addresses::subnet_id.eq(subnet.id))
        .filter(private_addresses::position.eq_any(starts.clone()))
        .select(private_addresses::position)
        .load(conn)?;
    let next = diesel::alias!(private_addresses as next);
    let behind = next
        .filter(next.field(private_addresses::subnet_id).eq(subnet.id))
        .filter(
            next.field(private_addresses::position)
                .eq(private_addresses::position + 1),
        );
    let last: Option<i64> = private_addresses::table
        .filter(private_addresses::subnet_id.eq(subnet.id))
        .filter(private_addresses::position.ne(gateway - 1))
        .filter(not(exists(behind)))
        .order(private_addresses::position)
        .select(private_addresses::position)
        .first(conn)
        .optional()?;
    let free = starts.into_iter().filter(|position| !taken.contains(position));
    let lowest = free.chain(last.map(|position| position + 1)).min();
    Ok(lowest.filter(|position| *position < range.capacity()))
}

fn of_instance_in(
    conn: &mut Conn,
    instance: Id<InstanceKind>,
    vpc: Id<VpcKind>,
) -> Result<Option<PrivateRow>, StoreError> {
    Ok(private_addresses::table
        .filter(private_addresses::instance_id.eq(instance))
        .filter(private_addresses::vpc_id.eq(vpc))
        .select(PrivateRow::as_select())
        .first(conn)
        .optional()?)
}

/// The addresses of an instance with their subnets: one, or two while it moves.
///
/// # Errors
/// The database refused.
pub(crate) fn of_instance(
    conn: &mut Conn,
    instance: Id<InstanceKind>,
) -> Result<Vec<(PrivateRow, SubnetRow)>, StoreError> {
    Ok(private_addresses::table
        .inner_join(vpc_subnets::table)
        .filter(private_addresses::instance_id.eq(instance))
        .select((PrivateRow::as_select(), SubnetRow::as_select()))
        .load(conn)?)
}

/// Takes the addresses back that the instance is in no need of: those in VPCs that it neither is in nor goes to.
///
/// # Errors
/// The database refused.
pub(crate) fn release_others(tx: &mut Tx<'_>, instance: Id<InstanceKind>) -> Result<(), StoreError> {
    let wanted: Option<Id<VpcKind>> = instances::table
        .find(instance)
        .select(instances::vpc_id)
        .first(tx.conn())
        .optional()?;
    let present: Option<Id<VpcKind>> = network_attachments::table
        .find(instance)
        .select(network_attachments::vpc_id)
        .first(tx.conn())
        .optional()?;
    let kept: Vec<Id<VpcKind>> = wanted.into_iter().chain(present).collect();
    let others = private_addresses::table
        .filter(private_addresses::instance_id.eq(instance))
        .filter(private_addresses::vpc_id.ne_all(kept));
    diesel::delete(others).execute(tx.conn())?;
    Ok(())
}

/// Takes all addresses back: the instance is over.
///
/// # Errors
/// The database refused.
pub(crate) fn release_all(tx: &mut Tx<'_>, instance: Id<InstanceKind>) -> Result<(), StoreError> {
    diesel::delete(private_addresses::table.filter(private_addresses::instance_id.eq(instance)))
        .execute(tx.conn())?;
    Ok(())
}
