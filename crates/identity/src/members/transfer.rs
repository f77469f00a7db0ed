//! `transfer_organization_ownership`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{OrganizationScope, Permission, Role},
    audit::Origin,
    http::{Answer, ApiError, ApiResult, Change, Faults},
    store::Tx,
};

use super::{
    OwnershipTransfer,
    api::{OrganizationMember, OwnershipTransferRequest, Transfer},
    role::{set_role, situation},
    rows, rules, view,
};
use crate::{mails, organizations, refusals::WriteRefusals, state::Area};

/// [Members] Transfer ownership
///
/// Make another member owner and give the caller a lower role, in one step. A password, if it is sent, must be the
/// caller's.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/transfer-ownership",
    operation_id = "transfer_organization_ownership",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path)),
    request_body = OwnershipTransferRequest,
    responses((status = 200, body = OrganizationMember, description = "New owner"), WriteRefusals),
    extensions(
        ("x-permission" = json!(OwnershipTransfer::NAME)),
        ("x-minimum-role" = json!(OwnershipTransfer::ROLE.as_str())),
        ("x-scope" = json!(OwnershipTransfer::SCOPE)),
    )
)]
pub(super) async fn transfer_organization_ownership(
    scope: OrganizationScope<OwnershipTransfer>,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<Transfer>,
) -> ApiResult<Response> {
    let caller = scope.caller.clone();
    if let Some(password) = change.body()?.password.clone() {
        let is_right = identity
            .confirm_password(&caller, &scope.request, password)
            .await?;
        if !is_right {
            return Err(Faults::one("password", "This password is not right.").into());
        }
    }
    let work = move |tx: &mut Tx<'_>, change: &Change<Transfer>| {
        let organization = organizations::lock(tx, scope.organization)?;
        let wanted = change.body()?;
        let origin = Origin::caller(&scope.caller, &scope.request);
        let heir = rows::find(tx.conn(), organization.id, wanted.member_id)?;
        let heir = heir.filter(|(row, person)| row.user_id != scope.caller.user && person.is_active);
        let heir = heir.ok_or_else(|| {
            let message = format!("Invalid pk \"{}\" - object does not exist.", wanted.member_id);
            Faults::one("member_id", message)
        })?;
        let former = rows::find_user(tx.conn(), organization.id, scope.caller.user)?;
        // Another transfer may have been faster.
        let former = former.ok_or_else(ApiError::not_found)?;
        if former.0.role != Role::Owner {
            return Err(ApiError::forbidden());
        }
        let was_owner = heir.0.role == Role::Owner;
        let heir = set_role(tx, heir, Role::Owner, &origin, scope.caller.user)?;
        rules::change(situation(tx, &former)?, wanted.previous_owner_role)
            .map_err(|fault| Faults::one("previous_owner_role", fault))?;
        set_role(tx, former, wanted.previous_owner_role, &origin, scope.caller.user)?;
        if !was_owner {
            mails::role_changed(&identity, tx, &heir.1, &organization, Role::Owner)?;
        }
        Ok(Answer::plain(view::one(tx.conn(), organization.id, heir)?))
    };
    change
        .run(&app, &caller, "transfer_organization_ownership", work)
        .await
}
