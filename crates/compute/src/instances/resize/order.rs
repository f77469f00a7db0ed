//! `resize_instance`.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use billing::{
    orders::{self, NewItem, Placed},
    services::{self, Cycle, ServiceRow},
};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, Faults, PathId},
    id::Id,
    json::JsonText,
    money::Amount,
    store::Tx,
};

use super::{
    api::InstanceResize,
    product::{self as resizes, KIND},
    rows::{self, ResizeRow, ResizeState},
    rules::{self, Present, Target, Wanted, grown_and_shrunk},
};
use crate::{
    Compute,
    catalogue::{Catalogue, api::InstanceSize},
    hosts,
    instances::{
        InstancesOrder,
        actions::{self, Action},
        api::InstanceKind,
        order,
    },
    machines::MachineRow,
    orders::{InstanceOrder, InstanceOrderedAction},
    product, tasks,
};

/// [Instances] Resize compute instance
///
/// Move the instance to another size. A dearer size writes an order for the pro-rata difference; after payment a
/// `resize_vps` task runs. The disk can only grow. A running machine is stopped and started again.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/resize",
    tag = "Compute", operation_id = "resize_instance",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = InstanceResize),
    responses(
        (status = 202, description = "Accepted; order and, once paid, task", body = InstanceOrderedAction),
        (status = 400, description = "The request does not validate"),
        (status = 402, description = "Payment needed or payment method refused"),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOrder::NAME)), ("x-minimum-role" = json!(InstancesOrder::ROLE.as_str())),
        ("x-scope" = json!(InstancesOrder::SCOPE))),
)]
pub(crate) async fn resize_instance(
    scope: ProjectScope<InstancesOrder>,
    PathId(id): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<InstanceResize>,
) -> ApiResult<Response> {
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let caller = scope.caller.clone();
    let desk = Desk {
        scope,
        compute: compute.clone(),
        catalogue,
    };
    let work = move |tx: &mut Tx<'_>, change: &http::Change<InstanceResize>| desk.resize(tx, id, change);
    change.run(&compute.app, &caller, "resize_instance", work).await
}

/// Everything that a change of size needs besides its body.
struct Desk {
    scope: ProjectScope<InstancesOrder>,
    compute: Compute,
    catalogue: Arc<Catalogue>,
}

impl Desk {
    fn resize(
        &self,
        tx: &mut Tx<'_>,
        id: Id<InstanceKind>,
        change: &http::Change<InstanceResize>,
    ) -> ApiResult<Answer<InstanceOrderedAction>> {
        let scope = &self.scope;
        // Whoever moves money locks the account before the instance.
        let service = product::lock_service(tx, &self.compute.billing, scope.organization, id)?;
        let action = Action::begin(tx, scope, id)?;
        change.check_version(action.row.version)?;
        let body = change.body()?;
        action.must_be_active()?;
        let machine = action.machine_to_change()?;
        let (size, target) = self.judge(&action, &machine, service.as_ref(), body)?;
        if size.id == action.row.size_id && target.share == machine.share() {
            return Err(Faults::one("size_id", "The instance has this size and this disk already.").into());
        }
        if service
            .as_ref()
            .is_some_and(|service| service.cancellation_requested_at.is_some())
        {
            return Err(ApiError::conflict(
                "The instance is cancelled: withdraw that first.",
            ));
        }
        if rows::is_under_way(tx.conn(), id)? {
            return Err(ApiError::conflict(
                "Another change of the instance's size is ordered or under way.",
            ));
        }
        let (grown, _) = grown_and_shrunk(machine.share(), target.share);
        if !hosts::take(tx, machine.host_id, grown)? {
            let text = format!(
                "The instance's host has no room for {}: list_instance_resize_options tells what is possible.",
                size.name
            );
            return Err(ApiError::conflict(text));
        }
        let row = self.write(tx, &action, &machine, &size, &target, service.as_ref())?;
        let mut changes = Changes::default();
        changes.note("size_id", &action.row.size_id, &size.id);
        changes.note("disk_gb", &machine.disk_gb, &target.share.disk_gb);
        let text = format!("Asked for {} for instance {}", size.name, action.row.name);
        action.audit(tx, "instance.resize_requested", text, changes)?;
        let (id, dearer) = (row.id, row.paid.is_positive());
        let placed = if dearer {
            Some(self.order(tx, &row)?)
        } else {
            self.may_pay_more(tx, service.as_ref(), &target)?;
            resizes::begin(tx, row)?;
            None
        };
        let task = rows::find(tx.conn(), id)?.and_then(|row| row.task_id);
        let task = match task {
            Some(task) => tasks::find(tx.conn(), scope.project, task)?,
            None => None,
        };
        let path = task.as_ref().map(|task| action.path_of(task.id));
        let body = InstanceOrderedAction {
            order: placed.as_ref().map(InstanceOrder::of),
            task,
        };
        Ok(match path {
            Some(path) => Answer::accepted(body, path),
            None => Answer::noted(body),
        })
    }

    fn judge(
        &self,
        action: &Action<'_, InstancesOrder>,
        machine: &MachineRow,
        service: Option<&ServiceRow>,
        body: &InstanceResize,
    ) -> ApiResult<(crate::catalogue::api::Shown<InstanceSize>, Target)> {
        let mut faults = Faults::default();
        let size = self.catalogue.size(body.size_id).cloned();
        let Some(size) = size else {
            return Err(Faults::one(
                "size_id",
                format!("Invalid pk \"{}\" - object does not exist.", body.size_id),
            )
            .into());
        };
        let image = self.catalogue.image(action.row.image_id);
        let present = Present::of(&action.row, machine.share(), image.map(|image| &**image), service);
        let wanted = Wanted {
            volume: body.size_volume_id,
            cycle: body.billing_cycle,
        };
        let target = rules::judge(&size, &present, wanted, &mut faults);
        faults.into_result()?;
        let target = target.ok_or_else(|| ApiError::internal("a size without faults"))?;
        Ok((size, target))
    }

    fn write(
        &self,
        tx: &mut Tx<'_>,
        action: &Action<'_, InstancesOrder>,
        machine: &MachineRow,
        size: &InstanceSize,
        target: &Target,
        service: Option<&ServiceRow>,
    ) -> ApiResult<ResizeRow> {
        let scope = &self.scope;
        let place = self
            .catalogue
            .location(action.row.location_id)
            .map_or("", |location| location.name.as_str());
        let description = format!("{} ({place})", size.name);
        let now = tx.now();
        let due = service.map_or(Amount::ZERO, |service| {
            services::difference(service, &target.change(&description), now)
        });
        let (old, new) = (machine.share(), target.share);
        let row = ResizeRow {
            id: Id::new(),
            organization_id: scope.organization,
            project_id: scope.project,
            instance_id: action.row.id,
            status: ResizeState::Ordered,
            size_id: size.id,
            cpus: new.cpus,
            memory_mb: new.memory_mb,
            disk_gb: new.disk_gb,
            previous_cpus: old.cpus,
            previous_memory_mb: old.memory_mb,
            previous_disk_gb: old.disk_gb,
            description,
            price: target.price,
            monthly_cap: target.monthly_cap,
            next_cycle: target.next.map(|(cycle, ..)| cycle),
            next_price: target.next.map(|(_, price, _)| price),
            next_monthly_cap: target.next.and_then(|(.., cap)| cap),
            paid: if due.is_positive() { due } else { Amount::ZERO },
            task_id: None,
            user_id: Some(scope.caller.user),
            request_id: Some(scope.request.id),
            created: now,
            modified: now,
        };
        rows::insert(tx, &row)?;
        Ok(row)
    }

    fn order(&self, tx: &mut Tx<'_>, row: &ResizeRow) -> ApiResult<Placed> {
        let item = NewItem {
            kind: KIND,
            resource: row.id.cast(),
            project: row.project_id,
            description: format!(
                "{} – change of size, for the time left of the period",
                row.description
            ),
            description_fr: format!(
                "{} – changement de taille, pour le reste de la période",
                row.description
            ),
            cycle: Cycle::OneTime,
            setup: Amount::ZERO,
            price: row.paid,
            monthly_cap: None,
            quantity: 1,
            options: JsonText::of(&serde_json::json!({})),
        };
        order::place_covered(tx, &self.compute.billing, &self.scope, item)
    }

    /// What costs more later only is bought too.
    fn may_pay_more(&self, tx: &mut Tx<'_>, service: Option<&ServiceRow>, target: &Target) -> ApiResult<()> {
        let Some(service) = service.filter(|service| target.price > service.price) else {
            return Ok(());
        };
        let item = NewItem {
            kind: KIND,
            resource: service.resource_id,
            project: service.project_id,
            description: String::new(),
            description_fr: String::new(),
            cycle: Cycle::Hourly,
            setup: Amount::ZERO,
            price: target.price,
            monthly_cap: None,
            quantity: 1,
            options: JsonText::of(&serde_json::json!({})),
        };
        let (order, now) = (order::order(&self.scope, vec![item]), tx.now());
        let quote = orders::quote(tx.conn(), &self.compute.billing, &order, now)?;
        orders::may_order(self.scope.role, &quote)
    }
}
