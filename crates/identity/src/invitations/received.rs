//! `list_received_invitations`, `lookup_invitation`.

use axum::{Json, extract::State};
use kernel::{
    access::Authenticated,
    http::{ApiError, ApiResult, Change, Faults},
};

use super::{
    api::{InvitationPreview, InvitationTokenRequest, OrganizationInvitation, Token},
    rows,
};
use crate::{login_only, people, state::Area};

/// Invitations that are listed: the newest ones.
const MOST: i64 = 100;

/// [Invitations] List received invitations
///
/// Pending invitations addressed to the verified e-mail address of the caller, newest first.
#[utoipa::path(
    get,
    path = "/v1/invitations",
    operation_id = "list_received_invitations",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    responses(
        (status = 200, body = Vec<OrganizationInvitation>, description = "List of invitations"),
        kernel::http::Refusals,
    ),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn list_received_invitations(
    Authenticated { caller, .. }: Authenticated,
    State(Area { app, .. }): State<Area>,
) -> ApiResult<Json<Vec<OrganizationInvitation>>> {
    login_only(&caller)?;
    let now = app.clock().now();
    app.store()
        .read("list_received_invitations", move |conn| {
            let me = people::find(conn, caller.user)?;
            if !me.email_verified {
                return Ok(Json(Vec::new()));
            }
            let found = rows::open_to(conn, &me.email_key, now, MOST)?;
            let people = people::of_ids(conn, found.iter().filter_map(|(row, _)| row.invited_by))?;
            let views = found.into_iter().map(|(row, name)| {
                let inviter = row.invited_by.and_then(|id| people.get(&id).cloned());
                OrganizationInvitation::at(now, row, name, inviter)
            });
            Ok::<_, ApiError>(Json(views.collect()))
        })
        .await
}

/// [Invitations] Look up an invitation
///
/// What a link stands for, for the page shown before sign-in. Answers the same 400 for unknown, used and expired
/// tokens.
#[utoipa::path(
    post,
    path = "/v1/invitations/lookup",
    operation_id = "lookup_invitation",
    tag = "Organizations",
    security(()),
    request_body = InvitationTokenRequest,
    responses(
        (status = 200, body = InvitationPreview, description = "Invitation preview"),
        (status = 400, description = "Invalid or expired token"),
        (status = 413, description = "Body too large"),
        (status = 415, description = "Unsupported media type"),
        (status = 429, description = "Too many requests"),
        (status = 503, description = "Temporarily unavailable"),
    )
)]
pub(super) async fn lookup_invitation(
    State(Area { app, identity, .. }): State<Area>,
    change: Change<Token>,
) -> ApiResult<Json<InvitationPreview>> {
    let hash = identity.secrets().hash_token(&change.body()?.token);
    let now = app.clock().now();
    app.store()
        .read("lookup_invitation", move |conn| {
            let found = rows::find_by_secret(conn, &hash)?.filter(|(row, _)| row.is_open(now));
            let Some((row, organization)) = found else {
                return Err(Faults::one("token", "This invitation is invalid or has expired.").into());
            };
            let inviter = match row.invited_by {
                Some(id) => people::find(conn, id)?.name(),
                None => organization.name.clone(),
            };
            Ok(Json(InvitationPreview {
                organization_name: organization.name,
                account_exists: rows::has_account(conn, &row.email_key)?,
                email: row.email.clone(),
                role: row.role,
                invited_by_name: inviter,
                status: row.status_at(now),
                expires_at: row.expires_at,
            }))
        })
        .await
}
