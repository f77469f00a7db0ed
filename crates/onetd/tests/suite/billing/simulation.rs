//! Two years of a shop in which everything goes wrong now and then. The seed is printed: with it, the same two years.

use std::collections::BTreeMap;

use billing::{
    clocks, operators,
    schema::{invoice_lines, invoices, service_periods, services as service_rows},
    services::{self, Change, Cycle, ServiceId, ServiceRow, ServiceStatus},
};
use diesel::{ExpressionMethods, JoinOnDsl, QueryDsl, RunQueryDsl, SelectableHelper};
use kernel::{crash, http::ApiError, time::Time};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use testkit::{Server, on_both};

use super::{Shop, TURN, amount};

const DAYS: u64 = 730;
const MOST_SERVICES: usize = 12;
const CYCLES: [Cycle; 5] = [
    Cycle::Monthly,
    Cycle::Quarterly,
    Cycle::Annually,
    Cycle::Hourly,
    Cycle::OneTime,
];
const POINTS: [&str; 12] = [
    "billing.entries",
    "billing.balances",
    "billing.issued",
    "billing.credit_applied",
    "billing.paid",
    "billing.renewed",
    "billing.suspended",
    "billing.ended",
    "billing.usage_closed",
    "billing.usage_settled",
    "billing.voided",
    "billing.invoice_staged",
];

async fn all_services(server: &Server) -> Vec<ServiceRow> {
    let read = server.app.store().read("test", |conn| {
        let query = service_rows::table
            .order(service_rows::created)
            .select(ServiceRow::as_select());
        Ok::<_, ApiError>(query.load(conn)?)
    });
    read.await.unwrap()
}

/// Something that a customer, an operator or a product does. It may fail: then nothing has happened.
async fn act(server: &Server, shop: &Shop, random: &mut StdRng) {
    let all = all_services(server).await;
    let alive: Vec<&ServiceRow> = all.iter().filter(|service| !service.status.is_over()).collect();
    for service in alive
        .iter()
        .filter(|service| service.status == ServiceStatus::Provisioning)
    {
        let (id, fails) = (service.id, random.random_bool(0.2));
        let told = shop.write(server, move |tx, billing| {
            if fails {
                Ok(services::failed(tx, billing, id, "No host has room")?)
            } else {
                Ok(services::provisioned(tx, billing, id)?)
            }
        });
        let _ = told.await;
    }
    let pick = (!alive.is_empty()).then(|| alive[random.random_range(0..alive.len())]);
    match (random.random_range(0..10_u32), pick) {
        (0..=2, _) if alive.len() < MOST_SERVICES => {
            let count = random.random_range(1..=3);
            let items = (0..count).map(|_| {
                let cycle = CYCLES[random.random_range(0..CYCLES.len())];
                let price = if cycle == Cycle::Hourly { "0.0175" } else { "9.99" };
                shop.item(cycle, price)
            });
            let mut order = shop.order(items.collect());
            order.use_credit = random.random_bool(0.8);
            let _ = shop.place(server, order).await;
        }
        (3..=4, _) => {
            let (organization, credit) = (
                shop.organization,
                amount(&random.random_range(5..60_u32).to_string()),
            );
            let given = shop.write(server, move |tx, billing| {
                operators::add_credit(tx, billing, organization, credit, "Simulated")
            });
            let _ = given.await;
        }
        (5, _) => {
            let open: Vec<String> = server
                .app
                .store()
                .read("test", |conn| {
                    let open = invoices::table.filter(invoices::status.eq_any(["unpaid", "overdue"]));
                    Ok::<_, ApiError>(
                        open.select(invoices::number)
                            .order(invoices::created)
                            .load(conn)?,
                    )
                })
                .await
                .unwrap();
            for number in open {
                let paid = shop.write(server, move |tx, billing| {
                    operators::mark_paid(tx, billing, &number, None, &number)
                });
                let _ = paid.await;
            }
        }
        (6, Some(service)) => {
            let id = service.id;
            let at_end = random.random_bool(0.7);
            let cancelled = shop.write(server, move |tx, billing| {
                if at_end {
                    services::cancel_at_end(tx, billing, id, "Simulated", None)?;
                } else {
                    services::cancel_now(tx, billing, id, ("Simulated", true), None)?;
                }
                Ok(())
            });
            let _ = cancelled.await;
        }
        (7, Some(service)) if matches!(service.status, ServiceStatus::Active) => {
            let id = service.id;
            let price = if service.billing_cycle == Cycle::Hourly {
                "0.03"
            } else {
                "14.50"
            };
            let change = Change {
                description: "VPS M".to_owned(),
                description_fr: "VPS M".to_owned(),
                price: amount(price),
                monthly_cap: None,
                quantity: random.random_range(1..=2),
                options: None,
            };
            let _ = shop
                .write(server, move |tx, billing| {
                    Ok(services::change(tx, billing, id, &change, None)?)
                })
                .await;
        }
        (8, Some(service))
            if service.status == ServiceStatus::Active && service.billing_cycle != Cycle::OneTime =>
        {
            let id = service.id;
            let (cycle, price) = if random.random_bool(0.5) {
                (Cycle::Monthly, "9.99")
            } else {
                (Cycle::Hourly, "0.0175")
            };
            let wanted = (cycle, amount(price), None);
            let _ = shop
                .write(server, move |tx, billing| {
                    Ok(services::change_cycle(tx, billing, id, wanted, None)?)
                })
                .await;
        }
        _ => {}
    }
}

/// No period of a service twice, none that overlaps another, and no gap in the invoices' numbers.
async fn rules_hold(server: &Server, shop: &Shop) {
    shop.books_are_right(server).await;
    let read = server.app.store().read("test", |conn| {
        let periods: Vec<(ServiceId, Time, Time)> = service_periods::table
            .order((service_periods::service_id, service_periods::period_start))
            .select((
                service_periods::service_id,
                service_periods::period_start,
                service_periods::period_end,
            ))
            .load(conn)?;
        let numbers: Vec<String> = invoices::table.select(invoices::number).load(conn)?;
        let lines: Vec<(Option<ServiceId>, Option<Time>)> = invoice_lines::table
            .inner_join(invoices::table.on(invoices::id.eq(invoice_lines::invoice_id)))
            .filter(invoices::type_.eq("renewal"))
            .filter(invoices::status.ne_all(["cancelled", "refunded"]))
            .select((invoice_lines::service_id, invoice_lines::period_start))
            .load(conn)?;
        Ok::<_, ApiError>((periods, numbers, lines))
    });
    let (periods, numbers, lines) = read.await.unwrap();
    let mut seen = std::collections::HashSet::new();
    for line in lines {
        assert!(seen.insert(line), "a period is invoiced twice: {line:?}");
    }
    assert!(periods.iter().all(|(_, start, end)| start < end));
    let mut series: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for number in numbers {
        let (name, count) = number.rsplit_once('-').unwrap();
        series
            .entry(name.to_owned())
            .or_default()
            .push(count.parse().unwrap());
    }
    for (name, mut counts) in series {
        counts.sort_unstable();
        let expected: Vec<u32> = (1..=u32::try_from(counts.len()).unwrap()).collect();
        assert_eq!(counts, expected, "{name} has a gap");
    }
}

on_both! {
    async fn two_years_end_with_right_books(server: Server, |config| {
        config.billing.seller_country = "FR".to_owned();
        config.mail.transport = kernel::config::MailTransport::Off;
    }) {
        let _turn = TURN.write().await;
        let seed = rand::random::<u64>();
        println!("seed: {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let shop = Shop::open(&server);
        let (mut hours, mut checked) = (0, 0);
        while hours < DAYS * 24 {
            let step = random.random_range(12..96);
            hours += step;
            server.clock.advance(std::time::Duration::from_secs(step * 3600 + 17));
            if random.random_bool(0.3) {
                crash::fail_at(POINTS[random.random_range(0..POINTS.len())], random.random_range(1..3));
            }
            act(&server, &shop, &mut random).await;
            clocks::round(&shop.billing).await.unwrap();
            if hours / 2160 > checked {
                checked = hours / 2160;
                rules_hold(&server, &shop).await;
            }
        }
        // Nothing goes wrong any more: all that was put off is done.
        for point in POINTS {
            crash::fail_at(point, u32::MAX);
        }
        server.clock.advance(std::time::Duration::from_hours(1));
        let rest = clocks::round(&shop.billing).await.unwrap();
        assert_eq!(rest.failed, 0);
        rules_hold(&server, &shop).await;
        let all = all_services(&server).await;
        assert!(all.len() > 20, "{}", all.len());
        for status in [ServiceStatus::Active, ServiceStatus::Cancelled] {
            assert!(all.iter().any(|service| service.status == status), "{status:?}");
        }
    }
}
