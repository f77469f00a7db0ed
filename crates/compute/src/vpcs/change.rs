//! `replace_vpc` and `update_vpc`: what a VPC is called, and whether instances may join it.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults, PathId},
    id::Id,
    store::Tx,
};

use super::{
    VpcsManage,
    api::{NewVpc, PatchedVPC, Vpc, VpcKind},
    record,
    rows::{self, VpcRow},
};
use crate::{Compute, catalogue::Catalogue};

/// [VPCs] Replace a VPC
///
/// Change the name or is_active; block and location must equal the stored ones.
#[utoipa::path(
    put, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{id}",
    tag = "Compute", operation_id = "replace_vpc",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = Vpc),
    responses(
        (status = 200, description = "Done", body = Vpc),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "The VPC is shared by the organization, or a request with the same Idempotency-Key is still running"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsManage::NAME)), ("x-minimum-role" = json!(VpcsManage::ROLE.as_str())),
        ("x-scope" = json!(VpcsManage::SCOPE))),
)]
pub(crate) async fn replace_vpc(
    scope: ProjectScope<VpcsManage>,
    PathId(id): PathId<VpcKind>,
    State(compute): State<Compute>,
    change: http::Change<NewVpc>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<NewVpc>| {
        write(tx, (&scope, &catalogue), id, change, |row, body| {
            let mut faults = Faults::default();
            let stays = "This can't be changed: create another VPC.";
            faults.check("cidr_block", body.cidr_block == row.cidr_block, stays);
            let same = body
                .location_id
                .is_none_or(|location| location == row.location_id);
            faults.check("location_id", same, stays);
            faults.into_result()?;
            Ok((Some(body.name.clone()), Some(body.is_active)))
        })
    };
    change.run(&compute.app, &caller, "replace_vpc", work).await
}

/// [VPCs] Update a VPC
///
/// Write only the fields given.
#[utoipa::path(
    patch, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs/{id}",
    tag = "Compute", operation_id = "update_vpc",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the VPC."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = PatchedVPC),
    responses(
        (status = 200, description = "Done", body = Vpc),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "The VPC is shared by the organization, or a request with the same Idempotency-Key is still running"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsManage::NAME)), ("x-minimum-role" = json!(VpcsManage::ROLE.as_str())),
        ("x-scope" = json!(VpcsManage::SCOPE))),
)]
pub(crate) async fn update_vpc(
    scope: ProjectScope<VpcsManage>,
    PathId(id): PathId<VpcKind>,
    State(compute): State<Compute>,
    change: http::Change<PatchedVPC>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let caller = scope.caller.clone();
    let work = move |tx: &mut Tx<'_>, change: &http::Change<PatchedVPC>| {
        write(tx, (&scope, &catalogue), id, change, |_, body| {
            Ok((body.name.clone(), body.is_active))
        })
    };
    change.run(&compute.app, &caller, "update_vpc", work).await
}

/// The project's own VPC, locked.
///
/// # Errors
/// 404; 409 if it is the organization's, which all its projects share.
pub(in crate::vpcs) fn own(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<VpcsManage>,
    id: Id<VpcKind>,
) -> ApiResult<VpcRow> {
    let row = rows::find_locked(tx, scope.organization, scope.project, id)?;
    let row = row.ok_or_else(ApiError::not_found)?;
    if row.project_id != Some(scope.project) {
        return Err(ApiError::conflict(
            "This VPC is shared by the projects of the organization: no project can change it.",
        ));
    }
    Ok(row)
}

fn write<B>(
    tx: &mut Tx<'_>,
    (scope, catalogue): (&ProjectScope<VpcsManage>, &Catalogue),
    id: Id<VpcKind>,
    change: &http::Change<B>,
    wanted: impl FnOnce(&VpcRow, &B) -> ApiResult<(Option<String>, Option<bool>)>,
) -> ApiResult<Answer<Vpc>> {
    let mut row = own(tx, scope, id)?;
    change.check_version(row.version)?;
    let before = row.clone();
    let (name, is_active) = wanted(&row, change.body()?)?;
    row.name = name.unwrap_or(row.name);
    row.is_active = is_active.unwrap_or(row.is_active);
    if row != before {
        rows::save(tx, &mut row)?;
        let mut changes = Changes::default();
        changes.note("name", &before.name, &row.name);
        changes.note("is_active", &before.is_active, &row.is_active);
        let text = format!("Changed VPC {}", row.name);
        record(tx, scope, &row, "vpc.updated", text, changes)?;
    }
    let version = row.version;
    Ok(Answer::ok(Vpc::of(row, catalogue)?, version))
}
