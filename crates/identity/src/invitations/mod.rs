//! Invitations: a mail with a link that makes its reader a member.
//!
//! The link's secret is stored as a keyed hash and works once, for a time. What counts is that the invited address is
//! the caller's own and verified: the link alone makes nobody a member. Pending invitations count against the quota of
//! users, under the lock of the organization's row.

mod api;
mod list;
mod received;
mod respond;
mod revoke;
mod rows;
mod rules;
mod send;

use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::respond::{accept_in, invited_address};
pub(crate) use self::{
    api::OrganizationInvitation,
    rows::count_pending,
    send::{Invite, Link, send},
};
use crate::state::Area;

kernel::permissions! {
    /// See the invitations of an organization.
    InvitationsRead = "invitations.read", Owner, "members:read";
    /// Invite people, and take invitations back.
    InvitationsUpdate = "invitations.update", Owner, "members:write";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(
            list::list_organization_invitations,
            send::create_organization_invitation
        ))
        .routes(routes!(
            list::get_organization_invitation,
            revoke::revoke_organization_invitation
        ))
        .routes(routes!(send::resend_organization_invitation))
        .routes(routes!(received::list_received_invitations))
        .routes(routes!(received::lookup_invitation))
        .routes(routes!(respond::accept_invitation))
        .routes(routes!(respond::decline_invitation))
}
