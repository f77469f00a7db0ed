//! Instances and VPCs among the resources of a project: listed beside those of other areas, and moved.

use std::collections::{HashMap, HashSet};

use diesel::{
    EscapeExpressionMethods, ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper,
    TextExpressionMethods, define_sql_function, dsl::exists, sql_types::Text,
};
use identity::resources::{Filter, ProjectResource, ProjectResources, ResourceType, Transfer};
use kernel::{
    access::Project,
    audit::{AuditStatus, Changes, Event},
    http::{ApiError, ApiResult},
    id::{Any, Id},
    json::JsonText,
    money::Amount,
    schema::tasks,
    store::{Conn, StoreError, Tx, lock, sql::MultiBackend},
    tasks::{NewTask, TaskStatus},
    time::Time,
};

use crate::{
    catalogue::{
        api::{DatacenterLocation, Location, PriceCycle, Size},
        rows::LocationRow,
    },
    instances::{
        api::{InstanceKind, InstanceStatus},
        rows::{self as instance_rows, InstanceRow, VolumeRow},
        steps::AttachVpc,
    },
    schema::{
        backup_schedules, backups, instance_tags, instances, ip_addresses, locations, size_prices, snapshots,
        volumes, vpcs,
    },
    vpcs::{
        api::VpcKind,
        private,
        rows::{self as vpc_rows, VpcRow},
    },
};

define_sql_function! {
    /// Lower case: of all letters on PostgreSQL, of ASCII letters on SQLite.
    fn lower(text: Text) -> Text;
}

/// The area's resources, for identity's list of a project's resources.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resources;

/// What a VPC's `status` says: VPCs have none of their own.
const fn vpc_status(is_active: bool) -> &'static str {
    if is_active { "active" } else { "inactive" }
}

fn instances_like(filter: &Filter) -> instances::BoxedQuery<'static, MultiBackend> {
    let mut query = instances::table
        .filter(instances::project_id.eq(filter.project))
        .filter(instances::status.ne(InstanceStatus::Terminated))
        .into_boxed();
    if let Some(status) = filter.status.clone() {
        query = match InstanceStatus::from_word(&status) {
            Some(status) => query.filter(instances::status.eq(status)),
            None => query.filter(diesel::dsl::sql::<diesel::sql_types::Bool>("1 = 0")),
        };
    }
    if let Some(pattern) = filter.search.clone() {
        query = query.filter(lower(instances::name).like(pattern).escape('\\'));
    }
    if let Some((key, value)) = filter.tag.clone() {
        let tagged = instance_tags::table
            .filter(instance_tags::instance_id.eq(instances::id))
            .filter(instance_tags::tag_key.eq(key));
        query = match value {
            Some(value) => query.filter(exists(tagged.filter(instance_tags::tag_value.eq(value)))),
            None => query.filter(exists(tagged)),
        };
    }
    query
}

/// None pass a filter by tag: VPCs have no tags.
fn vpcs_like(filter: &Filter) -> Option<vpcs::BoxedQuery<'static, MultiBackend>> {
    if filter.tag.is_some() {
        return None;
    }
    let mut query = vpcs::table
        .filter(vpcs::project_id.eq(filter.project))
        .filter(vpcs::deleted_at.is_null())
        .into_boxed();
    if let Some(status) = &filter.status {
        let is_active = [true, false].into_iter().find(|is| vpc_status(*is) == status)?;
        query = query.filter(vpcs::is_active.eq(is_active));
    }
    if let Some(pattern) = filter.search.clone() {
        query = query.filter(lower(vpcs::name).like(pattern).escape('\\'));
    }
    Some(query)
}

impl ProjectResources for Resources {
    fn kinds(&self) -> &'static [ResourceType] {
        &[ResourceType::Instance, ResourceType::Vpc]
    }

    fn count(&self, conn: &mut Conn, kind: ResourceType, filter: &Filter) -> Result<i64, StoreError> {
        if kind == ResourceType::Instance {
            return Ok(instances_like(filter).count().get_result(conn)?);
        }
        vpcs_like(filter).map_or(Ok(0), |query| Ok(query.count().get_result(conn)?))
    }

    fn newest(
        &self,
        conn: &mut Conn,
        kind: ResourceType,
        filter: &Filter,
        most: i64,
    ) -> Result<Vec<(Time, Id<Any>)>, StoreError> {
        if kind == ResourceType::Instance {
            let found: Vec<(Time, Id<InstanceKind>)> = instances_like(filter)
                .order((instances::created.desc(), instances::id.desc()))
                .limit(most)
                .select((instances::created, instances::id))
                .load(conn)?;
            return Ok(found
                .into_iter()
                .map(|(created, id)| (created, id.cast()))
                .collect());
        }
        let Some(query) = vpcs_like(filter) else {
            return Ok(Vec::new());
        };
        let found: Vec<(Time, Id<VpcKind>)> = query
            .order((vpcs::created.desc(), vpcs::id.desc()))
            .limit(most)
            .select((vpcs::created, vpcs::id))
            .load(conn)?;
        Ok(found
            .into_iter()
            .map(|(created, id)| (created, id.cast()))
            .collect())
    }

    fn show(
        &self,
        conn: &mut Conn,
        kind: ResourceType,
        project: Id<Project>,
        ids: &[Id<Any>],
    ) -> Result<Vec<ProjectResource>, StoreError> {
        if kind == ResourceType::Instance {
            let ids: Vec<Id<InstanceKind>> = ids.iter().map(|id| id.cast()).collect();
            let rows: Vec<InstanceRow> = instances::table
                .filter(instances::project_id.eq(project))
                .filter(instances::status.ne(InstanceStatus::Terminated))
                .filter(instances::id.eq_any(ids))
                .select(InstanceRow::as_select())
                .load(conn)?;
            return show_instances(conn, rows);
        }
        let ids: Vec<Id<VpcKind>> = ids.iter().map(|id| id.cast()).collect();
        let rows: Vec<VpcRow> = vpcs::table
            .filter(vpcs::project_id.eq(project))
            .filter(vpcs::deleted_at.is_null())
            .filter(vpcs::id.eq_any(ids))
            .select(VpcRow::as_select())
            .load(conn)?;
        let places = places(conn, rows.iter().map(|row| row.location_id))?;
        Ok(rows.into_iter().map(|row| show_vpc(row, &places)).collect())
    }

    fn transfer(
        &self,
        tx: &mut Tx<'_>,
        kind: ResourceType,
        transfer: &Transfer,
        ids: &[Id<Any>],
    ) -> ApiResult<Vec<ProjectResource>> {
        if kind != ResourceType::Instance {
            return Err(ApiError::refused(
                "Resources of this kind can't be moved by themselves.",
            ));
        }
        // In the order of their ids, so that two moves of the same instances wait for each other.
        let mut ids: Vec<Id<InstanceKind>> = ids.iter().map(|id| id.cast()).collect();
        ids.sort_unstable();
        let query = instances::table
            .filter(instances::project_id.eq(transfer.from))
            .filter(instances::status.ne(InstanceStatus::Terminated))
            .filter(instances::id.eq_any(ids.clone()))
            .order(instances::id)
            .select(InstanceRow::as_select());
        let rows: Vec<InstanceRow> = lock("instances", query).load(tx.conn())?;
        if rows.len() != ids.len() {
            return Err(ApiError::refused("A resource was moved or deleted meanwhile."));
        }
        check_idle(tx, &ids)?;
        let places = places(tx.conn(), rows.iter().map(|row| row.location_id))?;
        let networks = vpcs_of(tx, &rows)?;
        let mut moved = Vec::new();
        for row in rows {
            let own_network = networks.get(&row.vpc_id).copied().flatten() == Some(transfer.from);
            let slug = places.get(&row.location_id).map_or("", |(slug, _)| slug.as_str());
            moved.push(move_instance(tx, transfer, row, own_network, slug)?);
        }
        for (old, new) in &moved {
            record(tx, transfer, old, new)?;
        }
        let volumes = instance_rows::volumes_of(tx.conn(), &ids)?;
        let mut shown = show_instances(tx.conn(), moved.into_iter().map(|(_, new)| new).collect())?;
        let attached = volumes.into_values().flatten();
        shown.extend(attached.map(|row| show_volume(row, &places)));
        Ok(shown)
    }
}

/// Locations by id: their slug, and how the API shows them.
type Places = HashMap<Id<Location>, (String, JsonText)>;

fn places(conn: &mut Conn, ids: impl Iterator<Item = Id<Location>>) -> Result<Places, StoreError> {
    let ids: HashSet<Id<Location>> = ids.collect();
    let rows: Vec<LocationRow> = locations::table
        .filter(locations::id.eq_any(ids.into_iter().collect::<Vec<_>>()))
        .load(conn)?;
    let places = rows.into_iter().map(|row| {
        let (id, slug) = (row.id, row.slug.clone());
        let LocationRow {
            id: of,
            name,
            slug: short,
            country_code,
            is_active,
            created,
            modified,
        } = row;
        let location = DatacenterLocation {
            id: of,
            name,
            slug: short,
            country_code,
            is_active,
            created,
            modified,
        };
        (id, (slug, JsonText::of(&location)))
    });
    Ok(places.collect())
}

/// Which projects the instances' VPCs belong to.
fn vpcs_of(
    tx: &mut Tx<'_>,
    rows: &[InstanceRow],
) -> Result<HashMap<Id<VpcKind>, Option<Id<Project>>>, StoreError> {
    let ids: Vec<Id<VpcKind>> = rows.iter().map(|row| row.vpc_id).collect();
    let query = vpcs::table
        .filter(vpcs::id.eq_any(ids))
        .select((vpcs::id, vpcs::project_id));
    Ok(query.load(tx.conn())?.into_iter().collect())
}

fn show_instances(conn: &mut Conn, rows: Vec<InstanceRow>) -> Result<Vec<ProjectResource>, StoreError> {
    let places = places(conn, rows.iter().map(|row| row.location_id))?;
    let sizes: HashSet<Id<Size>> = rows.iter().map(|row| row.size_id).collect();
    let monthly: HashMap<Id<Size>, Amount> = size_prices::table
        .filter(size_prices::size_id.eq_any(sizes.into_iter().collect::<Vec<_>>()))
        .filter(size_prices::billing_cycle.eq(PriceCycle::Monthly))
        .filter(size_prices::is_active.eq(true))
        .select((size_prices::size_id, size_prices::price))
        .load(conn)?
        .into_iter()
        .collect();
    let shown = rows.into_iter().map(|row| ProjectResource {
        id: row.id.cast(),
        resource_type: ResourceType::Instance,
        status: row.status.as_str().to_owned(),
        location: places.get(&row.location_id).map(|(_, shown)| shown.clone()),
        price_monthly: monthly.get(&row.size_id).map(|price| price.fixed()),
        name: row.name,
        tags: row.tags,
        is_active: row.is_active,
        created: row.created,
        modified: row.modified,
    });
    Ok(shown.collect())
}

fn show_vpc(row: VpcRow, places: &Places) -> ProjectResource {
    ProjectResource {
        id: row.id.cast(),
        resource_type: ResourceType::Vpc,
        name: row.name,
        status: vpc_status(row.is_active).to_owned(),
        location: places.get(&row.location_id).map(|(_, shown)| shown.clone()),
        price_monthly: None,
        tags: JsonText::of(&serde_json::Map::new()),
        is_active: row.is_active,
        created: row.created,
        modified: row.modified,
    }
}

fn show_volume(row: VolumeRow, places: &Places) -> ProjectResource {
    ProjectResource {
        id: row.id.cast(),
        resource_type: ResourceType::Volume,
        name: row.name,
        status: row.status.as_str().to_owned(),
        location: places.get(&row.location_id).map(|(_, shown)| shown.clone()),
        price_monthly: Some(row.price_monthly.fixed()),
        tags: JsonText::of(&serde_json::Map::new()),
        is_active: row.is_active,
        created: row.created,
        modified: row.modified,
    }
}

/// Refuses while tasks of the instances wait or run: they know the project that they were begun in.
fn check_idle(tx: &mut Tx<'_>, ids: &[Id<InstanceKind>]) -> ApiResult<()> {
    let ids: Vec<Id<Any>> = ids.iter().map(|id| id.cast()).collect();
    let busy: i64 = tasks::table
        .filter(tasks::resource_id.eq_any(ids))
        .filter(tasks::status.eq_any([TaskStatus::Pending, TaskStatus::Running]))
        .count()
        .get_result(tx.conn())?;
    if busy > 0 {
        return Err(ApiError::refused(
            "A task is running on one of the resources: wait until it has ended.",
        ));
    }
    Ok(())
}

/// Moves an instance, its addresses, its volumes, the copies of its disk and the history of its tasks; gives the row as it was and as it is.
fn move_instance(
    tx: &mut Tx<'_>,
    transfer: &Transfer,
    row: InstanceRow,
    leaves_network: bool,
    location_slug: &str,
) -> ApiResult<(InstanceRow, InstanceRow)> {
    let mut new = row.clone();
    new.project_id = transfer.to;
    new.version += 1;
    new.modified = tx.now().max(row.modified + std::time::Duration::from_micros(1));
    if leaves_network {
        let (organization, place) = (transfer.organization, row.location_id);
        new.vpc_id = vpc_rows::default_for(tx, organization, transfer.to, place, location_slug)?.id;
    }
    diesel::update(instances::table.filter(instances::id.eq(row.id)))
        .set((
            instances::project_id.eq(new.project_id),
            instances::vpc_id.eq(new.vpc_id),
            instances::version.eq(new.version),
            instances::modified.eq(new.modified),
        ))
        .execute(tx.conn())?;
    diesel::update(ip_addresses::table.filter(ip_addresses::instance_id.eq(row.id)))
        .set(ip_addresses::project_id.eq(transfer.to))
        .execute(tx.conn())?;
    diesel::update(volumes::table.filter(volumes::instance_id.eq(row.id)))
        .set(volumes::project_id.eq(transfer.to))
        .execute(tx.conn())?;
    diesel::update(snapshots::table.filter(snapshots::instance_id.eq(row.id)))
        .set(snapshots::project_id.eq(transfer.to))
        .execute(tx.conn())?;
    diesel::update(backups::table.filter(backups::instance_id.eq(row.id)))
        .set(backups::project_id.eq(transfer.to))
        .execute(tx.conn())?;
    diesel::update(backup_schedules::table.filter(backup_schedules::instance_id.eq(row.id)))
        .set(backup_schedules::project_id.eq(transfer.to))
        .execute(tx.conn())?;
    diesel::update(tasks::table.filter(tasks::resource_id.eq(row.id.cast::<Any>())))
        .set(tasks::project_id.eq(transfer.to))
        .execute(tx.conn())?;
    if new.vpc_id != row.vpc_id {
        private::assign(tx, row.id, new.vpc_id, &private::Wish::default(), "vpc_id")?;
        tx.enqueue(&NewTask {
            created_by: Some(transfer.caller.user),
            request: transfer.origin.request().map(|request| request.id),
            ..AttachVpc::task(&new, row.vpc_id)
        })?;
    }
    Ok((row, new))
}

/// Writes in both projects' activity that an instance has moved.
fn record(tx: &mut Tx<'_>, transfer: &Transfer, old: &InstanceRow, new: &InstanceRow) -> ApiResult<()> {
    let mut changes = Changes::default();
    changes.note("project_id", &old.project_id, &new.project_id);
    changes.note("vpc_id", &old.vpc_id, &new.vpc_id);
    let event = Event {
        action: "instance.transferred",
        resource_type: "instance",
        resource_id: new.id.cast(),
        resource_name: new.name.clone(),
        description: format!("Instance {} moved to another project", new.name),
        changes,
        status: AuditStatus::Success,
    };
    for project in [transfer.from, transfer.to] {
        tx.audit(
            &transfer.origin,
            Some(transfer.organization),
            Some(project),
            &event,
        )?;
    }
    Ok(())
}
