//! Billing: a shop with a product that does nothing, and whatever happens to its customers.

mod figures;
mod life;
mod orders;
mod payments;
mod pdf;
mod rules;
mod simulation;
mod stripe;
mod told;

use std::{sync::Arc, time::Duration};

use billing::{
    Billing, Product, clocks, ledger, operators,
    orders::{NewItem, NewOrder, Placed, place},
    services::{self, Cycle, ServiceId, ServiceRow},
};
use kernel::{
    access::{OrganizationId, ProjectId},
    http::{ApiError, ApiResult},
    id::AnyId,
    json::JsonText,
    money::Amount,
    store::{StoreError, Tx},
};
use testkit::Server;
use tokio::sync::RwLock;

/// Points at which transactions fail are the process's: a test that sets them runs alone among those of billing.
static TURN: RwLock<()> = RwLock::const_new(());

/// Sold by all of these tests; told everything, doing nothing.
struct Nothing(&'static str);

impl Product for Nothing {
    fn kind(&self) -> &'static str {
        self.0
    }

    fn paid(&self, _tx: &mut Tx<'_>, _billing: &Billing, _service: &ServiceRow) -> Result<(), StoreError> {
        Ok(())
    }

    fn terminate(
        &self,
        _tx: &mut Tx<'_>,
        _billing: &Billing,
        _service: &ServiceRow,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    fn dropped(&self, _tx: &mut Tx<'_>, _billing: &Billing, _service: &ServiceRow) -> Result<(), StoreError> {
        Ok(())
    }
}

pub(crate) fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

/// A server's shop, seen by its first customer.
#[derive(Clone)]
struct Shop {
    billing: Billing,
    organization: OrganizationId,
    project: ProjectId,
}

impl Shop {
    fn open(server: &Server) -> Self {
        let billing = server.onet().billing.clone();
        billing.register(Arc::new(Nothing("instance")));
        billing.register(Arc::new(Nothing("volume")));
        let owner = &server.facts.owner;
        Self {
            billing,
            organization: owner.organization_id,
            project: owner.project_id,
        }
    }

    fn item(&self, cycle: Cycle, price: &str) -> NewItem {
        NewItem {
            kind: "instance",
            resource: AnyId::new(),
            project: self.project,
            description: "VPS S".to_owned(),
            description_fr: "VPS S".to_owned(),
            cycle,
            setup: Amount::ZERO,
            price: amount(price),
            monthly_cap: None,
            quantity: 1,
            options: JsonText::of(&serde_json::json!({})),
        }
    }

    fn order(&self, items: Vec<NewItem>) -> NewOrder {
        NewOrder {
            organization: self.organization,
            user: None,
            items,
            use_credit: true,
            charge: true,
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        server: &Server,
        work: impl Fn(&mut Tx<'_>, &Billing) -> ApiResult<T> + Send + 'static,
    ) -> ApiResult<T> {
        let billing = self.billing.clone();
        server
            .app
            .store()
            .write("test", move |tx| work(tx, &billing))
            .await
    }

    async fn place(&self, server: &Server, order: NewOrder) -> ApiResult<Placed> {
        self.write(server, move |tx, billing| Ok(place(tx, billing, &order)?))
            .await
    }

    async fn credit(&self, server: &Server, text: &str) {
        let (organization, wanted) = (self.organization, amount(text));
        self.write(server, move |tx, billing| {
            operators::add_credit(tx, billing, organization, wanted, "a test")
        })
        .await
        .unwrap();
    }

    /// A service that runs, paid from credit that was given for it.
    async fn running(&self, server: &Server, cycle: Cycle, price: &str) -> ServiceId {
        self.credit(server, "500").await;
        let placed = self
            .place(server, self.order(vec![self.item(cycle, price)]))
            .await
            .unwrap();
        assert_eq!(placed.amount_due, Amount::ZERO);
        let id = placed.services[0];
        self.write(server, move |tx, billing| {
            Ok(services::provisioned(tx, billing, id)?)
        })
        .await
        .unwrap();
        let left = self.balance(server).await;
        self.credit(server, &(-left).fixed::<2>().to_string()).await;
        id
    }

    async fn balance(&self, server: &Server) -> Amount {
        let organization = self.organization;
        server
            .app
            .store()
            .read("test", move |conn| {
                Ok::<_, ApiError>(ledger::credit(conn, organization)?)
            })
            .await
            .unwrap()
    }

    async fn service(&self, server: &Server, id: ServiceId) -> ServiceRow {
        use diesel::{QueryDsl, RunQueryDsl, SelectableHelper};
        server
            .app
            .store()
            .read("test", move |conn| {
                let query = billing::schema::services::table
                    .find(id)
                    .select(ServiceRow::as_select());
                Ok::<_, ApiError>(query.first(conn)?)
            })
            .await
            .unwrap()
    }

    /// Turns the clock, then lets everything that is due happen.
    async fn pass(&self, server: &Server, days: u64) {
        server.clock.advance(Duration::from_hours(24 * days));
        clocks::round(&self.billing).await.unwrap();
        server.run_tasks().await;
        clocks::round(&self.billing).await.unwrap();
    }

    async fn books_are_right(&self, server: &Server) {
        let (faults, next) = server
            .app
            .store()
            .read("test", move |conn| Ok::<_, ApiError>(ledger::verify(conn, None)?))
            .await
            .unwrap();
        assert!(faults.is_empty(), "{faults:#?}");
        assert_eq!(next, None);
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/organizations/{}/billing{rest}", self.organization)
    }
}
