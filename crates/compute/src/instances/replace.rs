//! Replaces an instance's metadata: the published page's operation, and the yardstick for all others.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use billing::Billing;
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{self, Answer, ApiError, ApiResult, PathId},
    id::Id,
    store::{StoreError, Tx},
    tasks::NewTask,
};
use serde_json::json;

use super::{
    InstancesUpdate,
    api::{Instance, InstanceKind, InstanceReplace, Wanted},
    billing_cycle,
    rows::{self, InstanceRow},
    rules::{self, Change, Reference, References, VpcChoice},
    steps::AttachVpc,
    views,
};
use crate::{
    Compute,
    catalogue::{Catalogue, api::PriceCycle},
    machines::{
        self,
        kinds::{self, name},
        wishes,
    },
    product,
    vpcs::{self, private},
};

/// [Instances] Replace compute instance metadata
///
/// Update modifiable properties of a compute instance such as name, description, and tags. Hardware configuration
/// changes require the resize endpoint.
#[utoipa::path(
    put, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}",
    tag = "Compute", operation_id = "replace_instance",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Unique identifier of the organization that owns the resource."),
        ("project_id" = String, Path, description = "Unique identifier of the project containing the resource."),
    ),
    request_body(content = Instance),
    responses(
        (status = 200, description = "Instance updated successfully", body = Instance),
        (status = 400, description = "Invalid request parameters"),
        (status = 401, description = "Authentication credentials missing or invalid"),
        (status = 403, description = "Insufficient permissions to modify this instance"),
        (status = 404, description = "Instance not found"),
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesUpdate::NAME)), ("x-minimum-role" = json!(InstancesUpdate::ROLE.as_str())),
        ("x-scope" = json!(InstancesUpdate::SCOPE))),
)]
pub(crate) async fn replace_instance(
    scope: ProjectScope<InstancesUpdate>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstanceReplace>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let work = move |tx: &mut Tx<'_>, change: &http::Change<InstanceReplace>| {
        change_metadata(tx, (&scope, &compute.billing), &catalogue, id, change, |body| {
            &body.0
        })
    };
    change.run(&app, &caller, "replace_instance", work).await
}

/// What PUT and PATCH do, in their transaction; `wanted` finds the fields in either body.
pub(super) fn change_metadata<T>(
    tx: &mut Tx<'_>,
    (scope, billing): (&ProjectScope<InstancesUpdate>, &Billing),
    catalogue: &Arc<Catalogue>,
    id: Id<InstanceKind>,
    change: &http::Change<T>,
    wanted: impl Fn(&T) -> &Wanted,
) -> ApiResult<Answer<Instance>> {
    // Who moves money locks the account before the instance. A faulty body, which comes to light later, moves none.
    let service = match change.body() {
        Ok(body) if wanted(body).billing_cycle.is_some() => {
            product::lock_service(tx, billing, scope.organization, id)?
        }
        _ => None,
    };
    let (instance, vpc, state) = rows::find_locked(tx, scope.project, id)?.ok_or_else(ApiError::not_found)?;
    change.check_version(instance.version)?;
    let wanted = wanted(change.body()?);
    let size = catalogue.size(instance.size_id).cloned();
    let size = size.ok_or_else(|| ApiError::unavailable("The catalogue is being refreshed."))?;
    let refs = References {
        size: &size,
        size_id: refer(wanted.size_id, instance.size_id, |id| {
            catalogue.size(id).is_some()
        }),
        location_id: refer(wanted.location_id, instance.location_id, |id| {
            catalogue.location(id).is_some()
        }),
        image_id: refer(wanted.image_id, instance.image_id, |id| {
            catalogue.image_for(scope.organization, id).is_some()
        }),
        vpc: choose_vpc(tx, catalogue, &instance, wanted)?,
    };
    let found = match rules::replace(&instance, wanted, &refs)? {
        Change::Unchanged => (instance, vpc, state),
        Change::Made {
            mut row,
            changes,
            vpc: move_to,
        } => {
            // Never before the last change, even if the machine's clock was set back.
            row.modified = tx.now().max(instance.modified + Duration::from_micros(1));
            rows::update(tx, &row)?;
            if row.tags != instance.tags {
                rows::index_tags(tx, row.id, &row.tags)?;
            }
            let origin = Origin::caller(&scope.caller, &scope.request);
            tx.audit(
                &origin,
                Some(scope.organization),
                Some(scope.project),
                &updated(&row, changes),
            )?;
            if row.hostname != instance.hostname {
                tell_hostname(tx, scope, &instance, &row)?;
            }
            if let Some(service) = service
                && row.billing_cycle != instance.billing_cycle
                && let Some(cycle) = PriceCycle::of(row.billing_cycle)
            {
                billing_cycle::bill(tx, billing, &service, &size, cycle, scope.caller.user)?;
            }
            let vpc = match move_to {
                Some(moved) => {
                    let (previous, vpc) = *moved;
                    private::assign(tx, row.id, vpc.id, &private::Wish::default(), "vpc_id")?;
                    tx.enqueue(&NewTask {
                        created_by: Some(scope.caller.user),
                        request: Some(scope.request.id),
                        ..AttachVpc::task(&row, previous)
                    })?;
                    vpc
                }
                None => vpc,
            };
            (*row, vpc, state)
        }
    };
    let views = views::complete(tx.conn(), catalogue, found)?;
    Ok(Answer::ok(views.body, views.version))
}

/// Enqueues what brings a new host name to the machine, if there is one: it holds from its next start on.
fn tell_hostname(
    tx: &mut Tx<'_>,
    scope: &ProjectScope<InstancesUpdate>,
    before: &InstanceRow,
    after: &InstanceRow,
) -> Result<(), StoreError> {
    let Some(machine) = machines::rows::find(tx.conn(), after.id)? else {
        return Ok(());
    };
    let mut task = kinds::task(name::HOSTNAME, after, Some((scope.caller.user, scope.request.id)));
    task.parameters = json!({ "hostname": after.hostname, "previous_hostname": before.hostname });
    let task = tx.enqueue(&task)?;
    wishes::keep(tx, task, (before, &machine), (after, &machine))
}

fn refer<K>(wanted: Option<Id<K>>, own: Id<K>, exists: impl Fn(Id<K>) -> bool) -> Reference {
    match wanted {
        None => Reference::Absent,
        Some(id) if id == own => Reference::Own,
        Some(id) if exists(id) => Reference::Other,
        Some(_) => Reference::Unknown,
    }
}

/// Finds the VPC that is asked for; null is the project's default one in the instance's location, made if need be
/// (and unmade with the transaction if the request is refused).
fn choose_vpc(
    tx: &mut Tx<'_>,
    catalogue: &Catalogue,
    instance: &InstanceRow,
    wanted: &Wanted,
) -> ApiResult<VpcChoice> {
    let (organization, project) = (instance.organization_id, instance.project_id);
    Ok(match wanted.vpc_id {
        None => VpcChoice::Keep,
        Some(Some(id)) if id == instance.vpc_id => VpcChoice::Keep,
        Some(Some(id)) => vpcs::rows::find(tx.conn(), organization, project, id)?
            .map_or(VpcChoice::Unknown(id), VpcChoice::Use),
        Some(None) => {
            let location = instance.location_id;
            let slug = catalogue
                .location(location)
                .map_or("", |location| location.slug.as_str());
            VpcChoice::Use(vpcs::rows::default_for(
                tx,
                organization,
                project,
                location,
                slug,
            )?)
        }
    })
}

fn updated(row: &InstanceRow, changes: Changes) -> Event {
    let fields: Vec<&str> = changes.fields().collect();
    Event {
        action: "instance.updated",
        resource_type: "instance",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description: format!("Changed {} of instance {}", fields.join(", "), row.name),
        changes,
        status: AuditStatus::Success,
    }
}
