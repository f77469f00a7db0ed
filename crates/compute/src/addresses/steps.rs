//! The tasks of addresses: a guest learns which addresses it has, and DNS which names they have.
//!
//! Each step reads what is wanted now and makes that true, so that a step that runs again, or late, does no harm.

use std::{net::IpAddr, sync::Arc};

use billing::{Billing, services};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{
    App,
    audit::{AuditStatus, Changes, Event, Origin},
    id::Id,
    reverse_dns::ReverseDns,
    store::{StoreError, Tx, lock},
    tasks::{Done, Kind, NewTask, Outcome, Step, StepError, TaskRow, Work},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{allocation, product::KIND};
use crate::{
    instances::{
        api::{Address, InstanceKind},
        rows::{AddressRow, InstanceRow, parts_of},
    },
    network::NetworkDriver,
    product,
    schema::ip_addresses,
};

/// Tries of a task that must come to an end some time, hours later if need be: nobody waits for it.
const PATIENT: i32 = 50;

/// What tasks about an address are told.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    ip_id: Id<Address>,
    address: String,
}

impl About {
    fn of(row: &AddressRow) -> serde_json::Value {
        json!({ "ip_id": row.id, "address": row.address })
    }
}

/// Gives the guest an address that its instance's rows have already.
pub struct AddIp {
    steps: Vec<Arc<dyn Step>>,
    billing: Billing,
}

impl std::fmt::Debug for AddIp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AddIp")
    }
}

impl AddIp {
    const NAME: &'static str = "add_ip";

    /// The kind, on this driver.
    pub fn new(network: &Arc<dyn NetworkDriver>, billing: &Billing) -> Self {
        Self {
            steps: vec![Arc::new(Configure {
                name: "attach_address",
                network: Arc::clone(network),
            })],
            billing: billing.clone(),
        }
    }

    pub(super) fn task(instance: &InstanceRow, row: &AddressRow) -> NewTask {
        NewTask {
            kind: Self::NAME,
            organization: instance.organization_id,
            project: instance.project_id,
            resource_type: "instance",
            resource: instance.id.cast(),
            parameters: About::of(row),
            max_retries: 5,
            created_by: None,
            request: None,
        }
    }
}

impl Kind for AddIp {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    /// The paid time of an address begins when the guest has it. One that the guest can't have is given back, and what
    /// was paid for it.
    fn ended(&self, tx: &mut Tx<'_>, task: &TaskRow, outcome: Outcome) -> Result<(), StoreError> {
        let Ok(about) = task.parameters.read::<About>() else {
            return Ok(());
        };
        let (organization, address) = (task.organization_id, about.ip_id.cast());
        let service = product::lock_service_of(tx, &self.billing, organization, (KIND, address))?;
        if outcome == Outcome::Completed {
            return match service {
                Some(service) => services::provisioned(tx, &self.billing, service.id),
                None => Ok(()),
            };
        }
        let query = ip_addresses::table
            .filter(ip_addresses::id.eq(about.ip_id))
            .filter(ip_addresses::instance_id.eq(task.resource_id.cast::<InstanceKind>()))
            .filter(ip_addresses::project_id.eq(task.project_id))
            .select(AddressRow::as_select());
        let row: Option<AddressRow> = lock("ip_addresses", query).get_result(tx.conn()).optional()?;
        let Some(row) = row else { return Ok(()) };
        allocation::release(tx, std::slice::from_ref(&row))?;
        if let Some(service) = service {
            let reason = task
                .error
                .as_deref()
                .unwrap_or("The guest could not be given the address.");
            services::failed(tx, &self.billing, service.id, reason)?;
        }
        let event = Event {
            action: "ip_address.add_failed",
            resource_type: "ip_address",
            resource_id: row.id.cast(),
            resource_name: row.address.clone(),
            description: format!("Address {} could not be given to the guest", row.address),
            changes: Changes::default(),
            status: AuditStatus::Failure,
        };
        tx.audit(
            &Origin::system("worker"),
            Some(row.organization_id),
            Some(row.project_id),
            &event,
        )
    }
}

/// Takes an address from the guest that its instance's rows don't have any more. Customers don't see this task: the
/// address is no longer theirs.
pub struct ReleaseIp {
    steps: Vec<Arc<dyn Step>>,
}

impl std::fmt::Debug for ReleaseIp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReleaseIp")
    }
}

impl ReleaseIp {
    const NAME: &'static str = "release_ip";

    /// The kind, on this driver.
    pub fn new(network: &Arc<dyn NetworkDriver>) -> Self {
        Self {
            steps: vec![Arc::new(Configure {
                name: "detach_address",
                network: Arc::clone(network),
            })],
        }
    }

    /// The instance is the task's resource: its tasks run one after the other.
    pub(super) fn task(instance: &InstanceRow, row: &AddressRow) -> NewTask {
        NewTask {
            kind: Self::NAME,
            organization: instance.organization_id,
            project: instance.project_id,
            resource_type: "ip_address",
            resource: instance.id.cast(),
            parameters: About::of(row),
            max_retries: PATIENT,
            created_by: None,
            request: None,
        }
    }
}

impl Kind for ReleaseIp {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn ended(&self, _tx: &mut Tx<'_>, _task: &TaskRow, _outcome: Outcome) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Tells the network driver which addresses the instance has.
struct Configure {
    name: &'static str,
    network: Arc<dyn NetworkDriver>,
}

impl Configure {
    async fn configure(&self, work: &Work, without: Option<Id<Address>>) -> Result<(), StepError> {
        let instance: Id<InstanceKind> = work.resource.cast();
        let read = move |conn: &mut _| parts_of(conn, instance);
        let (rows, _) = work.app.store().read("addresses_of_instance", read).await?;
        let rows: Vec<AddressRow> = rows.into_iter().filter(|row| Some(row.id) != without).collect();
        self.network.set_addresses(&work.app, instance, rows).await
    }
}

impl Step for Configure {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(self.configure(work, None))
    }

    fn undo<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let About { ip_id, .. } = work.parameters()?;
            self.configure(work, Some(ip_id)).await
        })
    }
}

/// Publishes the name that an address has now; none if it is nobody's any more.
pub struct SetReverseDns {
    steps: Vec<Arc<dyn Step>>,
}

impl std::fmt::Debug for SetReverseDns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetReverseDns")
    }
}

impl SetReverseDns {
    const NAME: &'static str = "set_reverse_dns";

    /// The kind, on this publisher.
    pub fn new(publisher: &Arc<dyn ReverseDns>) -> Self {
        Self {
            steps: vec![Arc::new(Publish {
                publisher: Arc::clone(publisher),
            })],
        }
    }

    pub(super) fn task(row: &AddressRow) -> NewTask {
        NewTask {
            kind: Self::NAME,
            organization: row.organization_id,
            project: row.project_id,
            resource_type: "ip_address",
            resource: row.id.cast(),
            parameters: About::of(row),
            max_retries: PATIENT,
            created_by: None,
            request: None,
        }
    }
}

impl Kind for SetReverseDns {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn steps(&self) -> &[Arc<dyn Step>] {
        &self.steps
    }

    fn ended(&self, _tx: &mut Tx<'_>, _task: &TaskRow, _outcome: Outcome) -> Result<(), StoreError> {
        Ok(())
    }
}

struct Publish {
    publisher: Arc<dyn ReverseDns>,
}

impl Publish {
    async fn publish(&self, app: &App, About { address, .. }: About) -> Result<(), StepError> {
        let ip: IpAddr = address
            .parse()
            .map_err(|error| StepError::fatal("The address can't be read.", error))?;
        let read = move |conn: &mut _| {
            let query = ip_addresses::table
                .filter(ip_addresses::address.eq(&address))
                .select(ip_addresses::reverse_dns);
            Ok::<Option<String>, StoreError>(query.first(conn).optional()?)
        };
        let name = app.store().read("name_of_address", read).await?;
        self.publisher
            .publish(app, ip, name.filter(|name| !name.is_empty()))
            .await
            .map_err(|error| StepError::passing("The name could not be published.", error))
    }
}

impl Step for Publish {
    fn name(&self) -> &'static str {
        "publish_name"
    }

    fn run<'a>(&'a self, work: &'a mut Work) -> Done<'a> {
        Box::pin(async move {
            let about = work.parameters()?;
            self.publish(&work.app, about).await
        })
    }

    /// There is nothing to go back to: what is wanted stays what the rows say.
    fn undo<'a>(&'a self, _work: &'a mut Work) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}
