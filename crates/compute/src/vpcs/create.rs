//! `create_vpc`.

use axum::{extract::State, response::Response};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults},
    id::Id,
    store::Tx,
};

use super::{
    VpcsManage,
    api::{NewVpc, Vpc},
    record,
    rows::{self, VpcRow},
    subnets::rules,
};
use crate::{Compute, catalogue::Catalogue};
use identity::{Module, organizations};

/// VPCs of a project.
const MOST: i64 = 100;

/// [VPCs] Create a VPC
///
/// Make a private network in one location from an RFC 1918 block (/16 to /28). A first subnet with the whole block comes
/// with it.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/vpcs",
    tag = "Compute", operation_id = "create_vpc",
    params(
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = Vpc),
    responses(
        (status = 201, description = "Created", body = Vpc),
        (status = 400, description = "Invalid request parameters"),
        (status = 409, description = "The project has too many VPCs"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(VpcsManage::NAME)), ("x-minimum-role" = json!(VpcsManage::ROLE.as_str())),
        ("x-scope" = json!(VpcsManage::SCOPE))),
)]
pub(crate) async fn create_vpc(
    scope: ProjectScope<VpcsManage>,
    State(compute): State<Compute>,
    change: http::Change<NewVpc>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let caller = scope.caller.clone();
    let work =
        move |tx: &mut Tx<'_>, change: &http::Change<NewVpc>| create(tx, &scope, &catalogue, change.body()?);
    change.run(&compute.app, &caller, "create_vpc", work).await
}

fn create(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<VpcsManage>,
    catalogue: &Catalogue,
    wanted: &NewVpc,
) -> ApiResult<Answer<Vpc>> {
    organizations::enter(tx, scope.organization, scope.project, Module::Compute)?;
    let mut faults = Faults::default();
    if let Err(why) = rules::parse_block(&wanted.cidr_block) {
        faults.add("cidr_block", why);
    }
    let location = match wanted.location_id {
        None => {
            faults.add("location_id", "This field is required.");
            None
        }
        Some(id) => {
            let found = catalogue.location(id).filter(|location| location.is_active);
            if found.is_none() {
                faults.add(
                    "location_id",
                    format!("Invalid pk \"{id}\" - object does not exist."),
                );
            }
            found
        }
    };
    faults.into_result()?;
    let location = location.ok_or_else(|| ApiError::internal("a location without faults"))?;
    if rows::count(tx.conn(), scope.project)? >= MOST {
        return Err(ApiError::conflict(format!("A project has at most {MOST} VPCs.")));
    }
    let row = VpcRow {
        id: Id::new(),
        organization_id: scope.organization,
        project_id: Some(scope.project),
        location_id: location.id,
        name: wanted.name.clone(),
        cidr_block: wanted.cidr_block.clone(),
        is_default: false,
        is_active: wanted.is_active,
        version: 1,
        created: tx.now(),
        modified: tx.now(),
    };
    rows::insert(tx, &row)?;
    let mut changes = Changes::default();
    changes.note("name", &None, &Some(&row.name));
    changes.note("cidr_block", &None, &Some(&row.cidr_block));
    changes.note("location_id", &None, &Some(row.location_id));
    let text = format!("Created VPC {}", row.name);
    record(tx, scope, &row, "vpc.created", text, changes)?;
    let path = format!(
        "/v1/organizations/{}/projects/{}/compute/vpcs/{}",
        scope.organization, scope.project, row.id
    );
    let version = row.version;
    Ok(Answer::created(Vpc::of(row, catalogue)?, Some(version), path))
}
