//! `create_instance`: an order, and what it is for, in one transaction.
//!
//! The instance's row, its place on a host, its addresses and its root volume are written before it is paid: who pays
//! gets what was promised. An order that comes to nothing gives them back.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use billing::orders;
use diesel::RunQueryDsl;
use identity::{Module, Place, ResourceCounter, counters, organizations};
use kernel::{
    access::{Permission, ProjectScope},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{self, Answer, ApiError, ApiResult, Faults, Query},
    id::{AnyId, Id},
    json::JsonText,
    money::Amount,
    store::{StoreError, Tx},
};

use super::{
    super::{
        InstancesCreate, ROOT_DISK,
        api::{InstanceKind, InstanceStatus, IpType, VolumeStatus},
        rows::{self, InstanceRow, VolumeRow},
        views,
    },
    api::{InstanceCreate, InstanceCreated, Ordered},
    items,
    rules::{self, Choice, Ids},
};
use crate::{
    Compute, Counter,
    addons::rows::{self as addon_rows, AddonState, InstanceAddonRow},
    addresses,
    catalogue::Catalogue,
    hosts,
    machines::{self, MachineRow, Power, passwords, plan},
    orders::InstanceOrder,
    schema::{instances, volumes},
    ssh_keys, tasks,
    vpcs::{self, private, rows::VpcRow},
};

/// [Instances] Create a compute instance
///
/// Order and provision an instance. An order is written, an invoice is paid from credit or the saved payment method,
/// and once paid a `create_vps` task provisions the machine. The instance starts in `pending`, passes through
/// `provisioning` and ends in `active`.
///
/// With `dry_run=true` nothing is written: the answer is what the order would cost, to the cent, and when it would be
/// due.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances",
    tag = "Compute", operation_id = "create_instance",
    params(
        ("dry_run" = Option<bool>, Query, description = "Only tell what it would cost. An addition to the published API.",
            extensions(("x-addition" = json!(true)))),
        ("organization_id" = uuid::Uuid, Path, description = "Organization that owns the resource."),
        ("project_id" = uuid::Uuid, Path, description = "Project that contains the resource."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats of the request with the same key are answered as the first one, and order nothing again.", max_length = 255),
    ),
    request_body(content = InstanceCreate),
    responses(
        (status = 200, description = "With `dry_run`: what it would cost", body = super::api::InstanceEstimate),
        (status = 201, description = "Instance ordered", body = InstanceCreated),
        (status = 400, description = "The request does not validate"),
        (status = 402, description = "Payment needed or payment method refused"),
        (status = 409, description = "Size sold out at this location, or a project limit is reached"),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesCreate::NAME)), ("x-minimum-role" = json!(InstancesCreate::ROLE.as_str())),
        ("x-scope" = json!(InstancesCreate::SCOPE))),
)]
pub(crate) async fn create_instance(
    scope: ProjectScope<InstancesCreate>,
    State(compute): State<Compute>,
    mut query: Query,
    change: http::Change<InstanceCreate>,
) -> ApiResult<Response> {
    let dry_run = query.flag("dry_run").unwrap_or(false);
    query.check()?;
    let catalogue = compute.catalogues.current(&compute.app).await?;
    let id = Id::<InstanceKind>::new();
    let secrets = Secrets::make(&compute, id, &change, dry_run).await?;
    let generated = secrets.generated.clone();
    let caller = scope.caller.clone();
    let desk = Desk {
        scope,
        compute: compute.clone(),
        catalogue,
        id,
        secrets,
    };
    let work =
        move |tx: &mut Tx<'_>, change: &http::Change<InstanceCreate>| desk.order(tx, change.body()?, dry_run);
    let answer = change.run(&compute.app, &caller, "create_instance", work).await?;
    match generated {
        Some(password) if !dry_run => {
            http::reveal(answer, |created| {
                if created["id"] == id.to_string() {
                    created["initial_password"] = password.into();
                }
            })
            .await
        }
        _ => Ok(answer),
    }
}

/// The administrator's password, made before the transaction: hashing takes its time.
struct Secrets {
    /// Shown once.
    generated: Option<String>,
    /// Sealed.
    password: Option<String>,
    user_data: Option<String>,
}

impl Secrets {
    async fn make(
        compute: &Compute,
        id: Id<InstanceKind>,
        change: &http::Change<InstanceCreate>,
        dry_run: bool,
    ) -> ApiResult<Self> {
        let nothing = Self {
            generated: None,
            password: None,
            user_data: None,
        };
        // A body that will be refused, or bought with nothing, is not worth the work.
        let Ok(body) = change.body() else {
            return Ok(nothing);
        };
        if dry_run {
            return Ok(nothing);
        }
        let wants_one = body.password.is_none() && body.ssh_key_ids.is_empty();
        let generated = wants_one.then(passwords::generate);
        let clear = generated
            .clone()
            .or_else(|| body.password.as_ref().map(|text| text.0.clone()));
        let sealer = compute.app.sealer();
        let password = match clear {
            Some(clear) => {
                let hashed = passwords::hash(clear).await?;
                Some(sealer.seal(&plan::seal_context(id, "password"), hashed.as_bytes()))
            }
            None => None,
        };
        let user_data = body
            .user_data
            .as_ref()
            .filter(|text| !text.0.is_empty())
            .map(|text| sealer.seal(&plan::seal_context(id, "user_data"), text.0.as_bytes()));
        Ok(Self {
            generated,
            password,
            user_data,
        })
    }
}

/// Everything that an order needs besides its body.
struct Desk {
    scope: ProjectScope<InstancesCreate>,
    compute: Compute,
    catalogue: Arc<Catalogue>,
    id: Id<InstanceKind>,
    secrets: Secrets,
}

impl Desk {
    fn order(&self, tx: &mut Tx<'_>, body: &InstanceCreate, dry_run: bool) -> ApiResult<Answer<Ordered>> {
        let (choice, vpc) = self.judge(tx, body)?;
        self.check_quota(tx)?;
        let addon_ids: Vec<AnyId> = choice.addons.iter().map(|_| AnyId::new()).collect();
        let wanted = items::items(&choice, self.scope.project, self.id.cast(), &addon_ids);
        let order = items::order(&self.scope, wanted);
        let billing = &self.compute.billing;
        let now = tx.now();
        let quote = orders::quote(tx.conn(), billing, &order, now)?;
        orders::may_order(self.scope.role, &quote)?;
        if dry_run {
            self.check_place(tx, &choice)?;
            return Ok(Answer::plain(Ordered::Estimated(items::estimate(
                &choice, &quote, 1,
            ))));
        }
        let host =
            hosts::reserve(tx, choice.location.id, choice.share())?.ok_or_else(|| sold_out(&choice))?;
        let row = self.write(tx, body, &choice, &vpc, host)?;
        self.write_addons(tx, &choice, &addon_ids)?;
        let placed = orders::place(tx, billing, &order)?;
        self.audit(tx, &row)?;
        let found = rows::find(tx.conn(), self.scope.project, self.id)?.ok_or_else(ApiError::not_found)?;
        let instance = views::complete(tx.conn(), &self.catalogue, found)?;
        let task = tasks::newest_of(tx.conn(), self.scope.project, self.id)?;
        let path = format!(
            "/v1/organizations/{}/projects/{}/compute/instances/{}",
            self.scope.organization, self.scope.project, self.id
        );
        let created = InstanceCreated {
            instance: instance.body,
            order: Some(InstanceOrder::of(&placed)),
            task,
            initial_password: None,
        };
        Ok(Answer::created(
            Ordered::Created(Box::new(created)),
            Some(instance.version),
            path,
        ))
    }

    /// Finds what is ordered, or tells every fault at once.
    fn judge(&self, tx: &mut Tx<'_>, body: &InstanceCreate) -> ApiResult<(Choice, VpcRow)> {
        let scope = &self.scope;
        let mut faults = Faults::default();
        let ids = Ids::from(body);
        let choice = rules::choose(
            &self.catalogue,
            scope.organization,
            scope.caller.is_staff,
            &ids,
            &mut faults,
        );
        rules::check_details(body, &mut faults);
        ssh_keys::check(tx.conn(), scope.project, &body.ssh_key_ids, &mut faults)?;
        let vpc = match body.vpc_id {
            None => None,
            Some(id) => {
                let found = vpcs::rows::find(tx.conn(), scope.organization, scope.project, id)?;
                match &found {
                    None => faults.add("vpc_id", format!("Invalid pk \"{id}\" - object does not exist.")),
                    Some(vpc) if vpc.location_id != body.location_id => {
                        faults.add("vpc_id", "This VPC is in another location.");
                    }
                    Some(vpc) => faults.check("vpc_id", vpc.is_active, "This VPC is not active."),
                }
                found
            }
        };
        faults.into_result()?;
        let choice = choice.ok_or_else(|| ApiError::internal("a choice without faults"))?;
        let vpc = match vpc {
            Some(vpc) => vpc,
            None => {
                let slug = &choice.location.slug;
                vpcs::rows::default_for(tx, scope.organization, scope.project, choice.location.id, slug)?
            }
        };
        Ok((choice, vpc))
    }

    /// Locks the organization: of many orders at once, each counts what the one before has added.
    fn check_quota(&self, tx: &mut Tx<'_>) -> ApiResult<()> {
        let scope = &self.scope;
        let quotas = organizations::enter(tx, scope.organization, scope.project, Module::Compute)?;
        let live = Counter
            .live(tx.conn(), Place::Organization(scope.organization))?
            .instances;
        if live >= quotas.instances {
            return Err(ApiError::conflict(format!(
                "The organization's quota of {} instances is reached.",
                quotas.instances
            )));
        }
        Ok(())
    }

    fn check_place(&self, tx: &mut Tx<'_>, choice: &Choice) -> ApiResult<()> {
        let left = hosts::places_left(tx.conn(), &[choice.share()])?;
        let places = left.get(&choice.location.id).and_then(|places| places.first());
        if places.copied().unwrap_or(0) > 0 {
            Ok(())
        } else {
            Err(sold_out(choice))
        }
    }

    fn write(
        &self,
        tx: &mut Tx<'_>,
        body: &InstanceCreate,
        choice: &Choice,
        vpc: &VpcRow,
        host: hosts::HostId,
    ) -> ApiResult<InstanceRow> {
        let scope = &self.scope;
        let now = tx.now();
        let image = choice
            .image
            .as_ref()
            .ok_or_else(|| ApiError::internal("an order without image"))?;
        let hostname = body
            .hostname
            .clone()
            .unwrap_or_else(|| rules::hostname_of(&body.name));
        let mut row = InstanceRow {
            id: self.id,
            legacy_id: counters::next(tx, "instances")?,
            organization_id: scope.organization,
            project_id: scope.project,
            search: InstanceRow::search_text(&body.name, &hostname),
            name: body.name.clone(),
            hostname,
            description: body.description.clone().unwrap_or_default(),
            status: InstanceStatus::Pending,
            size_id: choice.size.id,
            location_id: choice.location.id,
            vpc_id: vpc.id,
            image_id: image.id,
            os_name: body.os_name.clone().unwrap_or_else(|| image.os_name.clone()),
            primary_ipv4: None,
            primary_ipv6: None,
            billing_cycle: choice.cycle,
            billing_start_date: now,
            billing_end_date: None,
            next_billing_date: None,
            cancellation_requested_at: None,
            cancellation_reason: String::new(),
            bandwidth_used_gb: Amount::ZERO,
            tags: body
                .tags
                .clone()
                .unwrap_or_else(|| JsonText::of(&serde_json::json!({}))),
            is_active: false,
            is_installed: false,
            version: 1,
            created: now,
            modified: now,
        };
        diesel::insert_into(instances::table)
            .values(&row)
            .execute(tx.conn())?;
        rows::index_tags(tx, row.id, &row.tags)?;
        let machine = self.machine(tx, choice, host)?;
        machines::rows::insert(tx, &machine)?;
        ssh_keys::rows::link(tx, row.id, &body.ssh_key_ids)?;
        self.write_addresses(tx, &mut row, body.enable_ipv6)?;
        write_root_volume(tx, &row, choice.disk_gb)?;
        crate::network::plan_attachment(tx, row.id, vpc.id)?;
        private::assign(tx, row.id, vpc.id, &private::Wish::default(), "vpc_id")?;
        Ok(row)
    }

    fn machine(&self, tx: &mut Tx<'_>, choice: &Choice, host_id: hosts::HostId) -> ApiResult<MachineRow> {
        let share = choice.share();
        Ok(MachineRow {
            instance_id: self.id,
            host_id,
            cpus: share.cpus,
            memory_mb: share.memory_mb,
            disk_gb: share.disk_gb,
            power: Power::On,
            is_protected: false,
            rescue_image_id: None,
            password: self.secrets.password.clone(),
            user_data: self.secrets.user_data.clone(),
            rescue_password: None,
            seed_id: Id::new(),
            interface_id: Id::new(),
            mac_address: addresses::mac_for(tx, self.id, 0)?,
            private_interface_id: Id::new(),
            private_mac_address: addresses::mac_for(tx, self.id, 1)?,
            created: tx.now(),
            modified: tx.now(),
        })
    }

    fn write_addresses(&self, tx: &mut Tx<'_>, row: &mut InstanceRow, with_ipv6: bool) -> ApiResult<()> {
        let families: &[IpType] = if with_ipv6 {
            &[IpType::Ipv4, IpType::Ipv6]
        } else {
            &[IpType::Ipv4]
        };
        for family in families {
            let taken = addresses::allocate(
                tx,
                row.location_id,
                row.organization_id,
                row.project_id,
                row.id,
                *family,
                true,
            )?;
            match family {
                IpType::Ipv4 => row.primary_ipv4 = taken.map(|taken| taken.id),
                IpType::Ipv6 => row.primary_ipv6 = taken.map(|taken| taken.id),
            }
        }
        rows::set_primary_addresses(tx, row)?;
        Ok(())
    }

    fn write_addons(&self, tx: &mut Tx<'_>, choice: &Choice, ids: &[AnyId]) -> ApiResult<()> {
        for (chosen, id) in choice.addons.iter().zip(ids) {
            let Some(offer) = choice.addon(chosen) else {
                continue;
            };
            let row = InstanceAddonRow {
                id: id.cast(),
                organization_id: self.scope.organization,
                project_id: self.scope.project,
                instance_id: self.id,
                addon_id: offer.addon.id,
                status: AddonState::Pending,
                billing_cycle: chosen.cycle,
                price: chosen.price,
                activated_at: None,
                created: tx.now(),
                modified: tx.now(),
            };
            addon_rows::insert(tx, &row)?;
        }
        Ok(())
    }

    fn audit(&self, tx: &mut Tx<'_>, row: &InstanceRow) -> Result<(), StoreError> {
        let mut changes = Changes::default();
        changes.note("name", &None, &Some(&row.name));
        changes.note("hostname", &None, &Some(&row.hostname));
        changes.note("size_id", &None, &Some(&row.size_id));
        changes.note("location_id", &None, &Some(&row.location_id));
        changes.note("image_id", &None, &Some(&row.image_id));
        changes.note("billing_cycle", &None, &Some(&row.billing_cycle));
        let event = Event {
            action: "instance.ordered",
            resource_type: "instance",
            resource_id: row.id.cast(),
            resource_name: row.name.clone(),
            description: format!("Ordered instance {}", row.name),
            changes,
            status: AuditStatus::Success,
        };
        let origin = Origin::caller(&self.scope.caller, &self.scope.request);
        tx.audit(&origin, Some(row.organization_id), Some(row.project_id), &event)
    }
}

fn sold_out(choice: &Choice) -> ApiError {
    ApiError::conflict(format!(
        "{} is sold out in {}. list_compute_availability tells what can be had where.",
        choice.size.name, choice.location.name
    ))
}

fn write_root_volume(tx: &mut Tx<'_>, row: &InstanceRow, size_gb: i64) -> ApiResult<()> {
    let volume = VolumeRow {
        id: Id::new(),
        organization_id: row.organization_id,
        project_id: row.project_id,
        instance_id: Some(row.id),
        location_id: row.location_id,
        name: format!("{}-root", row.hostname),
        size_gb,
        status: VolumeStatus::Creating,
        disk_name: ROOT_DISK.to_owned(),
        price_monthly: Amount::ZERO,
        is_active: true,
        created: row.created,
        modified: row.created,
    };
    diesel::insert_into(volumes::table)
        .values(&volume)
        .execute(tx.conn())?;
    Ok(())
}
