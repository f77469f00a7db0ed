//! The demo's networks and instances.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use compute::{
    instances::{
        api::{AddressId, BillingCycle, InstanceId, InstanceStatus, IpType, VolumeStatus},
        rows::{AddressRow, InstanceRow, StateRow, VolumeRow},
    },
    schema::{instance_states, instance_tags, instances, ip_addresses, network_attachments, volumes},
    vpcs::{
        api::VpcId,
        rows::{self as vpc_rows, VpcRow},
    },
};
use diesel::{ExpressionMethods, RunQueryDsl};
use kernel::{
    access::{OrganizationId, ProjectId},
    http::ApiError,
    id::Id,
    json::JsonText,
    money::Amount,
    store::{StoreError, Tx},
};

use super::catalogue::Catalogue;
use crate::server::Onet;

/// Whose instances they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) organization: OrganizationId,
    pub(super) project: ProjectId,
}

const ROLES: [&str; 6] = ["web", "db", "cache", "worker", "mail", "build"];
/// Instances in one transaction.
const CHUNK: usize = 500;
const DAY: Duration = Duration::from_hours(24);

/// Makes two VPCs a location and `count` instances, numbered from `from`. Returns the first active instance.
pub(super) async fn load(
    onet: &Onet,
    catalogue: &Catalogue,
    place: Place,
    from: usize,
    count: usize,
) -> Result<Option<InstanceId>, ApiError> {
    let locations = catalogue.locations.clone();
    let store = onet.app.store();
    let vpcs = store
        .write("demo_vpcs", move |tx| {
            let mut vpcs = Vec::new();
            for (number, location) in locations.iter().enumerate() {
                for name in ["default", "backend"] {
                    let subnet = if name == "default" { number } else { 100 + number };
                    let row = VpcRow {
                        id: Id::new(),
                        organization_id: place.organization,
                        project_id: Some(place.project),
                        location_id: *location,
                        name: format!("{name}-{}", number + 1),
                        cidr_block: format!("10.{subnet}.0.0/16"),
                        is_default: name == "default",
                        is_active: true,
                        version: 1,
                        created: tx.now(),
                        modified: tx.now(),
                    };
                    vpc_rows::insert(tx, &row)?;
                    if row.is_default {
                        vpcs.push(row.id);
                    }
                }
            }
            Ok::<_, ApiError>(vpcs)
        })
        .await?;
    let mut first = None;
    for start in (0..count).step_by(CHUNK) {
        let (catalogue, vpcs) = (catalogue.clone(), vpcs.clone());
        let made = store
            .write("demo_instances", move |tx| {
                let mut first = None;
                for number in start..count.min(start + CHUNK) {
                    let id = instance(tx, &catalogue, &vpcs, place, from + number, number)?;
                    first = first.or(id);
                }
                Ok::<_, ApiError>(first)
            })
            .await?;
        first = first.or(made);
    }
    Ok(first)
}

/// The `number`th instance of its project, `serial` of all. Returns its id if it is active.
fn instance(
    tx: &mut Tx<'_>,
    catalogue: &Catalogue,
    vpcs: &[VpcId],
    place: Place,
    serial: usize,
    number: usize,
) -> Result<Option<InstanceId>, StoreError> {
    let location = number % catalogue.locations.len();
    let role = ROLES[number % ROLES.len()];
    let environment = ["production", "test"][number % 2];
    let name = format!("{role}-{:02}", number / ROLES.len() + 1);
    let status = match number % 12 {
        9 => InstanceStatus::Suspended,
        10 => InstanceStatus::Provisioning,
        11 => InstanceStatus::Cancelled,
        _ => InstanceStatus::Active,
    };
    let (image, os_name) = catalogue.images[number % 4];
    let hostname = format!("{name}.example.com");
    let tags = JsonText::of(&serde_json::json!({ "role": role, "env": environment }));
    let age = DAY * u32::try_from(number % 300).unwrap_or(0);
    let (created, legacy_id) = (tx.now() - age, identity::counters::next(tx, "instances")?);
    let (ipv4, ipv6) = (AddressId::new(), AddressId::new());
    let row = InstanceRow {
        id: Id::new(),
        legacy_id,
        organization_id: place.organization,
        project_id: place.project,
        search: InstanceRow::search_text(&name, &hostname),
        name,
        hostname,
        description: String::new(),
        status,
        size_id: catalogue.sizes[number % catalogue.sizes.len()],
        location_id: catalogue.locations[location],
        vpc_id: vpcs[location],
        image_id: image,
        os_name: os_name.to_owned(),
        primary_ipv4: Some(ipv4),
        primary_ipv6: Some(ipv6),
        billing_cycle: BillingCycle::Monthly,
        billing_start_date: created,
        billing_end_date: None,
        next_billing_date: Some(tx.now() + DAY * 30),
        cancellation_requested_at: (status == InstanceStatus::Cancelled).then_some(tx.now()),
        cancellation_reason: String::new(),
        bandwidth_used_gb: Amount::from_cents(i64::try_from(number).unwrap_or(0) * 37),
        tags,
        is_active: status == InstanceStatus::Active,
        is_installed: status != InstanceStatus::Provisioning,
        version: 1,
        created,
        modified: created,
    };
    diesel::insert_into(instances::table)
        .values(&row)
        .execute(tx.conn())?;
    for (key, value) in [("role", role), ("env", environment)] {
        let tag = (
            instance_tags::instance_id.eq(row.id),
            instance_tags::tag_key.eq(key),
            instance_tags::tag_value.eq(value),
        );
        diesel::insert_into(instance_tags::table)
            .values(tag)
            .execute(tx.conn())?;
    }
    parts(tx, &row, serial, (ipv4, ipv6))?;
    Ok((status == InstanceStatus::Active).then_some(row.id))
}

/// Addresses, root volume, state and network attachment of an instance.
fn parts(
    tx: &mut Tx<'_>,
    row: &InstanceRow,
    serial: usize,
    (ipv4, ipv6): (AddressId, AddressId),
) -> Result<(), StoreError> {
    let serial = u32::try_from(serial).unwrap_or(u32::MAX);
    // Shared address space (RFC 6598) and the documentation prefix (RFC 3849): nobody's machines.
    let address_4 = Ipv4Addr::from(u32::from(Ipv4Addr::new(100, 64, 0, 10)) + serial);
    let address_6 =
        Ipv6Addr::from(u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10)) + u128::from(serial));
    let mut address = AddressRow {
        id: ipv4,
        organization_id: row.organization_id,
        project_id: row.project_id,
        instance_id: Some(row.id),
        address: address_4.to_string(),
        ip_type: IpType::Ipv4,
        interface: 0,
        netmask: Some("255.192.0.0".to_owned()),
        gateway: "100.64.0.1".to_owned(),
        network_id: None,
        vlan: None,
        mac_address: format!(
            "52:54:00:{:02x}:{:02x}:{:02x}",
            serial >> 16 & 255,
            serial >> 8 & 255,
            serial & 255
        ),
        is_primary: true,
        reverse_dns: row.hostname.clone(),
        created: row.created,
        modified: row.created,
    };
    diesel::insert_into(ip_addresses::table)
        .values(&address)
        .execute(tx.conn())?;
    address.id = ipv6;
    address.address = address_6.to_string();
    address.ip_type = IpType::Ipv6;
    address.netmask = Some("64".to_owned());
    address.gateway = "2001:db8::1".to_owned();
    diesel::insert_into(ip_addresses::table)
        .values(&address)
        .execute(tx.conn())?;
    let volume = VolumeRow {
        id: Id::new(),
        organization_id: row.organization_id,
        project_id: row.project_id,
        instance_id: Some(row.id),
        location_id: row.location_id,
        name: format!("{}-root", row.name),
        size_gb: 40,
        status: VolumeStatus::Attached,
        disk_name: "scsi0".to_owned(),
        price_monthly: Amount::default(),
        is_active: true,
        created: row.created,
        modified: row.created,
    };
    diesel::insert_into(volumes::table)
        .values(&volume)
        .execute(tx.conn())?;
    let state = StateRow {
        id: Id::new(),
        instance_id: row.id,
        vm_status: if row.is_active { "running" } else { "stopped" }.to_owned(),
        uptime: if row.is_active { 86_400 } else { 0 },
        cpu_usage: Amount::from_cents(1_250),
        memory_usage_mb: 900,
        disk_usage_gb: Amount::from_cents(620),
        network_in_bytes: 1_234_567,
        network_out_bytes: 7_654_321,
        last_synced_at: tx.now(),
        sync_source: "demo".to_owned(),
    };
    diesel::insert_into(instance_states::table)
        .values(&state)
        .execute(tx.conn())?;
    let attachment = (
        network_attachments::instance_id.eq(row.id),
        network_attachments::vpc_id.eq(row.vpc_id),
        network_attachments::attached_at.eq(row.created),
    );
    diesel::insert_into(network_attachments::table)
        .values(attachment)
        .execute(tx.conn())?;
    Ok(())
}
