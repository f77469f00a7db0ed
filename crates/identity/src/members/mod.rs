//! Members of organizations and their roles.
//!
//! Every change here runs under the lock of the organization's row, so that an organization never loses its last
//! owner, however many requests try at once.

mod api;
mod list;
mod me;
mod remove;
mod role;
mod rows;
mod rules;
mod transfer;
mod view;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::{
    api::{MembershipKind, OrganizationMember},
    rows::{MemberRow, all, count, count_with_pending, delete_with_projects, find_user, insert},
    view::one as view,
};
use crate::state::Area;

kernel::permissions! {
    /// See the members of an organization.
    MembersRead = "members.read", Viewer, "members:read";
    /// See one's own membership.
    MembersMe = "members.me", Guest, "members:read";
    /// Leave an organization.
    MembersLeave = "members.leave", Guest, "members:write";
    /// Change the roles of members, and remove them.
    MembersUpdate = "members.update", Owner, "members:write";
    /// Hand an organization over to another member.
    OwnershipTransfer = "members.transfer_ownership", Owner, "members:write";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_organization_members))
        .routes(routes!(me::get_current_membership))
        .routes(routes!(remove::leave_organization))
        .routes(routes!(
            list::get_organization_member,
            role::replace_organization_member,
            role::update_organization_member,
            remove::remove_organization_member
        ))
        .routes(routes!(transfer::transfer_organization_ownership))
}
