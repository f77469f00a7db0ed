//! How modules are stored. Every finder takes the organization.

use diesel::{ExpressionMethods, QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper};
use kernel::{
    access::{Organization, User},
    id::Id,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use super::{Module, api::OrganizationModule};
use crate::{
    organizations::OrganizationRow,
    people,
    projects::ResourceCounts,
    schema::{organization_modules, organizations},
};

/// When a module was last switched on.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = organization_modules)]
struct SwitchRow {
    module: Module,
    enabled_at: Time,
    enabled_by: Option<Id<User>>,
}

/// Every module as it stands in an organization: two queries.
pub(super) fn views(
    conn: &mut Conn,
    organization: &OrganizationRow,
    offered: &[String],
    counts: &ResourceCounts,
) -> Result<Vec<OrganizationModule>, StoreError> {
    let query = organization_modules::table
        .filter(organization_modules::organization_id.eq(organization.id))
        .select(SwitchRow::as_select());
    let switches: Vec<SwitchRow> = query.load(conn)?;
    let people = people::of_ids(conn, switches.iter().filter_map(|row| row.enabled_by))?;
    let open = Module::read(&organization.modules);
    let views = Module::ALL.iter().map(|module| {
        let is_enabled = open.contains(module);
        let switch = switches.iter().find(|row| row.module == *module);
        // Without a row it has been on since the organization began.
        let enabled_at = switch.map_or(organization.created, |row| row.enabled_at);
        let enabled_by = switch.and_then(|row| people.get(&row.enabled_by?).cloned());
        OrganizationModule {
            slug: *module,
            name: module.name(),
            description: module.description(),
            is_enabled,
            is_available: offered.iter().any(|word| word == module.as_str()),
            resource_count: module.share(counts),
            enabled_at: is_enabled.then_some(enabled_at),
            enabled_by: enabled_by.filter(|_| is_enabled).map(Into::into),
        }
    });
    Ok(views.collect())
}

/// Writes which modules are on.
pub(super) fn save(tx: &mut Tx<'_>, organization: &OrganizationRow) -> Result<(), StoreError> {
    diesel::update(organizations::table.filter(organizations::id.eq(organization.id)))
        .set((
            organizations::modules.eq(&organization.modules),
            organizations::modified.eq(organization.modified),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Notes who has switched a module on.
pub(super) fn note(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    module: Module,
    by: Id<User>,
) -> Result<(), StoreError> {
    let now = tx.now();
    let known = organization_modules::table
        .filter(organization_modules::organization_id.eq(organization))
        .filter(organization_modules::module.eq(module));
    diesel::delete(known).execute(tx.conn())?;
    diesel::insert_into(organization_modules::table)
        .values((
            organization_modules::organization_id.eq(organization),
            organization_modules::module.eq(module),
            organization_modules::enabled_at.eq(now),
            organization_modules::enabled_by.eq(by),
        ))
        .execute(tx.conn())?;
    Ok(())
}
