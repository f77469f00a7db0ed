//! How organizations are stored.

use std::collections::HashMap;

use diesel::{
    ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, RunQueryDsl,
    Selectable, SelectableHelper, dsl::count_star,
};
use kernel::{
    access::{Organization, Role, User},
    id::Id,
    json::JsonText,
    store::{Conn, StoreError},
    time::Time,
};

use super::api::{OrganizationType, SupportPlan};
use crate::schema::{memberships, organizations, projects};

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
}

/// The organizations that a user belongs to, and their role there.
pub(super) fn of_user(conn: &mut Conn, user: Id<User>) -> Result<Vec<(OrganizationRow, Role)>, StoreError> {
    let query = memberships::table
        .inner_join(organizations::table.on(organizations::id.eq(memberships::organization_id)))
        .filter(memberships::user_id.eq(user))
        .select((OrganizationRow::as_select(), memberships::role));
    Ok(query.load(conn)?)
}

/// One organization: the caller has been found to reach it.
pub(super) fn find(conn: &mut Conn, id: Id<Organization>) -> Result<Option<OrganizationRow>, StoreError> {
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
        .group_by(projects::organization_id)
        .select((projects::organization_id, count_star()));
    Ok(query.load(conn)?.into_iter().collect())
}
