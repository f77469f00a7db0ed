//! The tables of instances. Every finder takes the project: there is no way to ask for an instance without saying
//! whose it is.

use std::{collections::HashMap, time::Duration};

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable,
    RunQueryDsl, Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project},
    id::{Any, Id},
    json::JsonText,
    money::Amount,
    store::{Conn, StoreError, Tx, lock},
    time::Time,
};

use super::{
    api::{Address, BillingCycle, InstanceKind, InstanceStatus, IpType, StateKind, VolumeKind, VolumeStatus},
    tags,
};
use crate::{
    catalogue::api::{Image, Location, Size},
    schema::{instance_states, instance_tags, instances, ip_addresses, volumes, vpcs},
    vpcs::{api::VpcKind, rows::VpcRow},
};

/// A row of `instances`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = instances, treat_none_as_null = true)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct InstanceRow {
    pub id: Id<InstanceKind>,
    pub legacy_id: i64,
    pub organization_id: Id<Organization>,
    pub project_id: Id<Project>,
    pub name: String,
    pub hostname: String,
    pub description: String,
    pub search: String,
    pub status: InstanceStatus,
    pub size_id: Id<Size>,
    pub location_id: Id<Location>,
    pub vpc_id: Id<VpcKind>,
    pub image_id: Id<Image>,
    pub os_name: String,
    pub primary_ipv4: Option<Id<Address>>,
    pub primary_ipv6: Option<Id<Address>>,
    pub billing_cycle: BillingCycle,
    pub billing_start_date: Time,
    pub billing_end_date: Option<Time>,
    pub next_billing_date: Option<Time>,
    pub cancellation_requested_at: Option<Time>,
    pub cancellation_reason: String,
    pub bandwidth_used_gb: Amount,
    pub tags: JsonText,
    pub is_active: bool,
    pub is_installed: bool,
    pub version: i64,
    pub created: Time,
    pub modified: Time,
}

impl InstanceRow {
    /// What `search` looks in: the name and the host name, in lower case.
    pub fn search_text(name: &str, hostname: &str) -> String {
        format!("{}\n{}", name.to_lowercase(), hostname.to_lowercase())
    }
}

/// A row of `ip_addresses`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = ip_addresses)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct AddressRow {
    pub id: Id<Address>,
    pub organization_id: Id<Organization>,
    pub project_id: Id<Project>,
    pub instance_id: Option<Id<InstanceKind>>,
    pub address: String,
    pub ip_type: IpType,
    pub interface: i64,
    pub netmask: Option<String>,
    pub gateway: String,
    pub network_id: Option<Id<Any>>,
    pub vlan: Option<i64>,
    pub mac_address: String,
    pub is_primary: bool,
    pub reverse_dns: String,
    pub created: Time,
    pub modified: Time,
}

/// A row of `volumes`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = volumes)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct VolumeRow {
    pub id: Id<VolumeKind>,
    pub organization_id: Id<Organization>,
    pub project_id: Id<Project>,
    pub instance_id: Option<Id<InstanceKind>>,
    pub location_id: Id<Location>,
    pub name: String,
    pub size_gb: i64,
    pub status: VolumeStatus,
    pub disk_name: String,
    pub price_monthly: Amount,
    pub is_active: bool,
    pub created: Time,
    pub modified: Time,
}

/// A row of `instance_states`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = instance_states)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct StateRow {
    pub id: Id<StateKind>,
    pub instance_id: Id<InstanceKind>,
    pub vm_status: String,
    pub uptime: i64,
    pub cpu_usage: Amount,
    pub memory_usage_mb: i64,
    pub disk_usage_gb: Amount,
    pub network_in_bytes: i64,
    pub network_out_bytes: i64,
    pub last_synced_at: Time,
    pub sync_source: String,
}

/// An instance with what belongs to it, one to one.
pub(crate) type Found = (InstanceRow, VpcRow, Option<StateRow>);

/// Instances with their VPC and their state.
macro_rules! joined {
    () => {
        instances::table
            .inner_join(vpcs::table.on(vpcs::id.eq(instances::vpc_id)))
            .left_join(instance_states::table.on(instance_states::instance_id.eq(instances::id)))
            .select((
                InstanceRow::as_select(),
                VpcRow::as_select(),
                Option::<StateRow>::as_select(),
            ))
    };
}

/// One instance of a project.
pub(crate) fn find(
    conn: &mut Conn,
    project: Id<Project>,
    id: Id<InstanceKind>,
) -> Result<Option<Found>, StoreError> {
    let query = joined!()
        .filter(instances::id.eq(id))
        .filter(instances::project_id.eq(project));
    Ok(query.first(conn).optional()?)
}

/// One instance of a project, kept from changing until this transaction ends.
///
/// Locked by itself, and joined with nothing: PostgreSQL looks a row that it had to wait for up again, but what is
/// joined to it only as it was before the wait, where the instance's new VPC may not exist yet.
pub(crate) fn find_locked(
    tx: &mut Tx<'_>,
    project: Id<Project>,
    id: Id<InstanceKind>,
) -> Result<Option<Found>, StoreError> {
    let query = instances::table
        .filter(instances::id.eq(id))
        .filter(instances::project_id.eq(project))
        .select(InstanceRow::as_select());
    let row: Option<InstanceRow> = lock("instances", query).get_result(tx.conn()).optional()?;
    let Some(row) = row else { return Ok(None) };
    let (vpc, state) = vpcs::table
        .left_join(instance_states::table.on(instance_states::instance_id.eq(row.id)))
        .filter(vpcs::id.eq(row.vpc_id))
        .filter(vpcs::organization_id.eq(row.organization_id))
        .select((VpcRow::as_select(), Option::<StateRow>::as_select()))
        .first(tx.conn())?;
    Ok(Some((row, vpc, state)))
}

/// Whether a project has this instance.
///
/// # Errors
/// The database refused.
pub(crate) fn exists(
    conn: &mut Conn,
    project: Id<Project>,
    id: Id<InstanceKind>,
) -> Result<bool, StoreError> {
    let query = instances::table
        .filter(instances::id.eq(id))
        .filter(instances::project_id.eq(project));
    let found: Option<Id<InstanceKind>> = query.select(instances::id).first(conn).optional()?;
    Ok(found.is_some())
}

/// Instances of a project by their ids, in no order.
pub(crate) fn find_many(
    conn: &mut Conn,
    project: Id<Project>,
    ids: &[Id<InstanceKind>],
) -> Result<HashMap<Id<InstanceKind>, Found>, StoreError> {
    let query = joined!()
        .filter(instances::project_id.eq(project))
        .filter(instances::id.eq_any(ids.to_vec()));
    let found: Vec<Found> = query.load(conn)?;
    Ok(found.into_iter().map(|found| (found.0.id, found)).collect())
}

/// The addresses of some instances, by instance; the primary one first.
pub(crate) fn addresses_of(
    conn: &mut Conn,
    instances: &[Id<InstanceKind>],
) -> Result<HashMap<Id<InstanceKind>, Vec<AddressRow>>, StoreError> {
    let rows: Vec<AddressRow> = ip_addresses::table
        .filter(ip_addresses::instance_id.eq_any(instances.to_vec()))
        .order((
            ip_addresses::interface,
            ip_addresses::is_primary.desc(),
            ip_addresses::id,
        ))
        .select(AddressRow::as_select())
        .load(conn)?;
    Ok(by_instance(rows, |row| row.instance_id))
}

/// The volumes of some instances, by instance; the disk that it boots from first.
pub(crate) fn volumes_of(
    conn: &mut Conn,
    instances: &[Id<InstanceKind>],
) -> Result<HashMap<Id<InstanceKind>, Vec<VolumeRow>>, StoreError> {
    let rows: Vec<VolumeRow> = volumes::table
        .filter(volumes::instance_id.eq_any(instances.to_vec()))
        .order((volumes::disk_name, volumes::id))
        .select(VolumeRow::as_select())
        .load(conn)?;
    Ok(by_instance(rows, |row| row.instance_id))
}

/// The addresses and the volumes of one instance, in the same order: by statements that stay prepared, which a list
/// of ids is not.
pub(crate) fn parts_of(
    conn: &mut Conn,
    instance: Id<InstanceKind>,
) -> Result<(Vec<AddressRow>, Vec<VolumeRow>), StoreError> {
    let addresses = ip_addresses::table
        .filter(ip_addresses::instance_id.eq(Some(instance)))
        .order((
            ip_addresses::interface,
            ip_addresses::is_primary.desc(),
            ip_addresses::id,
        ))
        .select(AddressRow::as_select())
        .load(conn)?;
    let volumes = volumes::table
        .filter(volumes::instance_id.eq(Some(instance)))
        .order((volumes::disk_name, volumes::id))
        .select(VolumeRow::as_select())
        .load(conn)?;
    Ok((addresses, volumes))
}

fn by_instance<R>(
    rows: Vec<R>,
    instance: impl Fn(&R) -> Option<Id<InstanceKind>>,
) -> HashMap<Id<InstanceKind>, Vec<R>> {
    let mut sorted: HashMap<_, Vec<R>> = HashMap::new();
    for row in rows {
        if let Some(id) = instance(&row) {
            sorted.entry(id).or_default().push(row);
        }
    }
    sorted
}

/// Writes the metadata that clients can change.
pub(crate) fn update(tx: &mut Tx<'_>, row: &InstanceRow) -> Result<(), StoreError> {
    let target = instances::table
        .filter(instances::id.eq(row.id))
        .filter(instances::project_id.eq(row.project_id));
    let changed = diesel::update(target.filter(instances::version.eq(row.version - 1)))
        .set((
            instances::name.eq(&row.name),
            instances::hostname.eq(&row.hostname),
            instances::description.eq(&row.description),
            instances::search.eq(&row.search),
            instances::os_name.eq(&row.os_name),
            instances::vpc_id.eq(row.vpc_id),
            instances::billing_cycle.eq(row.billing_cycle),
            instances::tags.eq(&row.tags),
            instances::version.eq(row.version),
            instances::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    // The row is locked: another version would mean that the lock does not hold.
    if changed == 1 {
        Ok(())
    } else {
        Err(StoreError::Contended("the instance's version".to_owned()))
    }
}

/// One instance of a project by itself, kept from changing until this transaction ends.
///
/// # Errors
/// The database refused.
pub(crate) fn lock_row(
    tx: &mut Tx<'_>,
    project: Id<Project>,
    id: Id<InstanceKind>,
) -> Result<Option<InstanceRow>, StoreError> {
    let query = instances::table
        .filter(instances::id.eq(id))
        .filter(instances::project_id.eq(project))
        .select(InstanceRow::as_select());
    Ok(lock("instances", query).get_result(tx.conn()).optional()?)
}

/// One instance whatever its project, for what is no request: it may have been moved to another project meanwhile.
///
/// # Errors
/// The database refused.
pub(crate) fn lock_anywhere(
    tx: &mut Tx<'_>,
    id: Id<InstanceKind>,
) -> Result<Option<InstanceRow>, StoreError> {
    let query = instances::table
        .filter(instances::id.eq(id))
        .select(InstanceRow::as_select());
    Ok(lock("instances", query).get_result(tx.conn()).optional()?)
}

/// One instance, whoever's it is: for work that nobody asks for.
///
/// # Errors
/// The database refused.
pub(crate) fn find_anywhere(
    conn: &mut Conn,
    id: Id<InstanceKind>,
) -> Result<Option<InstanceRow>, StoreError> {
    let query = instances::table.find(id).select(InstanceRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// Writes all of an instance back that this transaction has locked, as its next version.
///
/// # Errors
/// The database refused.
pub(crate) fn save(tx: &mut Tx<'_>, row: &mut InstanceRow) -> Result<(), StoreError> {
    row.version += 1;
    // Never before the last change, even if the machine's clock was set back.
    row.modified = tx.now().max(row.modified + Duration::from_micros(1));
    diesel::update(instances::table.find(row.id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}

/// Writes down which addresses are an instance's primary ones.
///
/// # Errors
/// The database refused.
pub(crate) fn set_primary_addresses(tx: &mut Tx<'_>, row: &InstanceRow) -> Result<(), StoreError> {
    diesel::update(instances::table.find(row.id))
        .set((
            instances::primary_ipv4.eq(row.primary_ipv4),
            instances::primary_ipv6.eq(row.primary_ipv6),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Makes the filterable copy of the tags equal to the tags.
pub(crate) fn index_tags(tx: &mut Tx<'_>, id: Id<InstanceKind>, tags: &JsonText) -> Result<(), StoreError> {
    diesel::delete(instance_tags::table.filter(instance_tags::instance_id.eq(id))).execute(tx.conn())?;
    let pairs: Vec<_> = tags::pairs(tags)
        .into_iter()
        .map(|(key, value)| {
            (
                instance_tags::instance_id.eq(id),
                instance_tags::tag_key.eq(key),
                instance_tags::tag_value.eq(value),
            )
        })
        .collect();
    for pair in pairs {
        diesel::insert_into(instance_tags::table)
            .values(pair)
            .execute(tx.conn())?;
    }
    Ok(())
}
