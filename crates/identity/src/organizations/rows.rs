//! How organizations are stored.

use std::collections::HashMap;

use diesel::{
    ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper, dsl::count_star,
};
use kernel::{
    access::{Organization, Role, User},
    http::{ApiError, ApiResult},
    id::Id,
    json::JsonText,
    store::{Conn, StoreError, Tx, lock as locked},
    time::Time,
};

use super::api::{OrganizationType, SupportPlan};
use crate::schema::{memberships, organizations, projects, users};

/// A row of `organizations`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = organizations)]
pub(crate) struct OrganizationRow {
    pub(crate) id: Id<Organization>,
    pub(crate) legacy_id: i64,
    pub(crate) name: String,
    pub(crate) modules: JsonText,
    pub(crate) organization_type: OrganizationType,
    pub(crate) support_plan: SupportPlan,
    pub(crate) user_quota: i64,
    pub(crate) project_quota: i64,
    pub(crate) instance_quota: i64,
    pub(crate) domain_quota: i64,
    pub(crate) logo: String,
    pub(crate) company_name: String,
    pub(crate) address_1: String,
    pub(crate) address_2: String,
    pub(crate) city: String,
    pub(crate) state: String,
    pub(crate) postcode: String,
    pub(crate) country: String,
    pub(crate) phone: String,
    pub(crate) vat_number: String,
    pub(crate) is_active: bool,
    pub(crate) created: Time,
    pub(crate) modified: Time,
    pub(crate) deleted_at: Option<Time>,
}

/// The active organizations that a user belongs to, and their role there.
pub(super) fn of_user(conn: &mut Conn, user: Id<User>) -> Result<Vec<(OrganizationRow, Role)>, StoreError> {
    let query = memberships::table
        .inner_join(organizations::table.on(organizations::id.eq(memberships::organization_id)))
        .filter(memberships::user_id.eq(user))
        .filter(organizations::is_active.eq(true))
        .select((OrganizationRow::as_select(), memberships::role));
    Ok(query.load(conn)?)
}

/// One organization: the caller has been found to reach it.
pub(crate) fn find(conn: &mut Conn, id: Id<Organization>) -> Result<Option<OrganizationRow>, StoreError> {
    let query = organizations::table
        .filter(organizations::id.eq(id))
        .select(OrganizationRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// How many projects each of these organizations has; one without any is left out.
pub(super) fn project_counts(
    conn: &mut Conn,
    of: &[Id<Organization>],
) -> Result<HashMap<Id<Organization>, i64>, StoreError> {
    let query = projects::table
        .filter(projects::organization_id.eq_any(of))
        .filter(projects::deleted_at.is_null())
        .group_by(projects::organization_id)
        .select((projects::organization_id, count_star()));
    Ok(query.load(conn)?.into_iter().collect())
}

/// One organization, kept from changing until this transaction ends, with all that is counted under its lock.
///
/// # Errors
/// 404: it has been deleted or suspended since the caller was found to reach it.
pub(crate) fn lock(tx: &mut Tx<'_>, id: Id<Organization>) -> ApiResult<OrganizationRow> {
    let row = lock_any(tx, id)?;
    row.filter(|row| row.is_active).ok_or_else(ApiError::not_found)
}

/// The same where there is no client to be answered: nothing if it has been deleted or suspended.
pub(crate) fn lock_active(
    tx: &mut Tx<'_>,
    id: Id<Organization>,
) -> Result<Option<OrganizationRow>, StoreError> {
    Ok(lock_any(tx, id)?.filter(|row| row.is_active))
}

/// The same, active or not: for operators.
pub(super) fn lock_any(tx: &mut Tx<'_>, id: Id<Organization>) -> Result<Option<OrganizationRow>, StoreError> {
    let query = organizations::table
        .filter(organizations::id.eq(id))
        .select(OrganizationRow::as_select());
    Ok(locked("organizations", query).get_result(tx.conn()).optional()?)
}

/// Writes what its owners can change.
pub(super) fn update(tx: &mut Tx<'_>, row: &OrganizationRow) -> Result<(), StoreError> {
    diesel::update(organizations::table.filter(organizations::id.eq(row.id)))
        .set((
            organizations::name.eq(&row.name),
            organizations::organization_type.eq(row.organization_type),
            organizations::logo.eq(&row.logo),
            organizations::company_name.eq(&row.company_name),
            organizations::address_1.eq(&row.address_1),
            organizations::address_2.eq(&row.address_2),
            organizations::city.eq(&row.city),
            organizations::state.eq(&row.state),
            organizations::postcode.eq(&row.postcode),
            organizations::country.eq(&row.country),
            organizations::phone.eq(&row.phone),
            organizations::vat_number.eq(&row.vat_number),
            organizations::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Writes whether it is in use.
pub(super) fn set_deleted(tx: &mut Tx<'_>, row: &OrganizationRow) -> Result<(), StoreError> {
    diesel::update(organizations::table.filter(organizations::id.eq(row.id)))
        .set((
            organizations::is_active.eq(row.is_active),
            organizations::deleted_at.eq(row.deleted_at),
            organizations::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// How many active organizations a user owns, while no other transaction makes one for them.
pub(super) fn count_owned(tx: &mut Tx<'_>, user: Id<User>) -> Result<i64, StoreError> {
    let query = users::table.filter(users::id.eq(user)).select(users::id);
    let _: Id<User> = locked("users", query).get_result(tx.conn())?;
    let query = memberships::table
        .inner_join(organizations::table.on(organizations::id.eq(memberships::organization_id)))
        .filter(memberships::user_id.eq(user))
        .filter(memberships::role.eq(Role::Owner))
        .filter(organizations::is_active.eq(true))
        .count();
    Ok(query.get_result(tx.conn())?)
}
