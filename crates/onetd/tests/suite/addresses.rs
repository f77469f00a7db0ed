//! Addresses: pools, who gets which, reverse DNS, and giving back.

use std::{collections::HashSet, time::Duration};

use compute::{
    addresses::{
        self, Allocation, Claim,
        pools::{self, NewPool, Purpose},
    },
    instances::api::{InstanceId, InstanceStatus, IpType},
    schema::{configured_addresses, instance_interfaces, instances, ip_addresses},
};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use kernel::{
    access::Role,
    audit::Origin,
    http::{ApiError, ApiResult},
    schema::reverse_names,
};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Client, Server, on_both, process::Program};

use crate::concurrency::{CLIENTS, at_once};

const HOUR: Duration = Duration::from_secs(3600);

fn pool(location: &str, network: &str, gateway: &str) -> NewPool {
    NewPool {
        location: location.to_owned(),
        network: network.parse().unwrap(),
        gateway: gateway.parse().unwrap(),
        vlan: Some(7),
        first: None,
        last: None,
        purpose: Purpose::Any,
        quarantine: HOUR * 24,
    }
}

async fn add_pool(server: &Server, wanted: NewPool) -> ApiResult<()> {
    server
        .app
        .store()
        .write("test", move |tx| {
            pools::add(tx, &Origin::system("test"), &wanted).map(|_| ())
        })
        .await
}

/// Makes these the only pools, of this location.
pub(crate) async fn only_pools(server: &Server, location: &str, networks: &[(&str, &str)]) {
    let disable = |tx: &mut kernel::store::Tx<'_>| {
        let now = tx.now();
        for fill in pools::list(tx.conn(), now)? {
            let network = fill.pool.cidr.parse().map_err(ApiError::internal)?;
            pools::set_active(tx, &Origin::system("test"), network, false)?;
        }
        Ok::<_, ApiError>(())
    };
    server.app.store().write("test", disable).await.unwrap();
    for (network, gateway) in networks {
        add_pool(server, pool(location, network, gateway)).await.unwrap();
    }
}

/// Makes these the only pools, of the demo instance's location; gives its slug.
async fn only(server: &Server, networks: &[(&str, &str)]) -> String {
    let instance = server.owner().get(&server.instance()).await.expect(200).body;
    let slug = instance["location"]["slug"].as_str().unwrap().to_owned();
    only_pools(server, &slug, networks).await;
    slug
}

fn path(server: &Server) -> String {
    format!("{}/ip-addresses", server.instance())
}

async fn add(server: &Server, client: &Client) -> Value {
    client.post(&path(server), &json!({})).await.expect(202).body
}

/// The additional addresses of the demo's instance.
async fn additional(server: &Server, client: &Client) -> Vec<Value> {
    let all = client.get(&path(server)).await.expect(200).body;
    let all = all.as_array().unwrap().iter();
    all.filter(|row| row["is_primary"] == false).cloned().collect()
}

/// What the network driver was told last.
async fn configured(server: &Server) -> HashSet<String> {
    let id = server.facts.owner.instance_id;
    let read = server.app.store().read("test", move |conn| {
        let query = configured_addresses::table
            .filter(configured_addresses::instance_id.eq(id))
            .select(configured_addresses::address);
        Ok::<Vec<String>, ApiError>(query.load(conn)?)
    });
    read.await.unwrap().into_iter().collect()
}

/// What DNS was told last.
async fn published(server: &Server, address: &str) -> Option<String> {
    let address = address.to_owned();
    let read = server.app.store().read("test", move |conn| {
        let query = reverse_names::table.find(address).select(reverse_names::name);
        Ok::<_, ApiError>(query.first(conn).optional()?)
    });
    read.await.unwrap()
}

async fn set_status(server: &Server, status: InstanceStatus) {
    let id = server.facts.owner.instance_id;
    let set = move |tx: &mut kernel::store::Tx<'_>| {
        diesel::update(instances::table.find(id))
            .set(instances::status.eq(status))
            .execute(tx.conn())?;
        Ok::<_, ApiError>(())
    };
    server.app.store().write("test", set).await.unwrap();
}

async fn records(server: &Server, client: &Client, action: &str) -> Value {
    let organization = server.facts.owner.organization_id;
    let path = format!("/v1/organizations/{organization}/audit-logs?action={action}");
    client.get(&path).await.expect(200).body["count"].clone()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

on_both! {
    async fn an_address_is_added_named_and_given_back(server: Server) {
        only(&server, &[("192.0.2.0/28", "192.0.2.1")]).await;
        let client = server.owner();
        let before = client.get(&path(&server)).await.expect(200).body;
        assert_eq!(before.as_array().unwrap().len(), 2);

        let answer = client.post(&path(&server), &json!({"ip_type": "ipv4", "reverse_dns": "mail.example.com"})).await.expect(202);
        assert_eq!(answer.body["order"], Value::Null, "it costs nothing here");
        let task = &answer.body["task"];
        assert_eq!((text(task, "task_type"), text(task, "status")), ("add_ip", "pending"));
        assert_eq!(task["created_by"]["email"], "ada@example.com");
        assert!(answer.header("location").ends_with(&format!("/compute/tasks/{}", text(task, "id"))));
        assert_eq!(client.get(answer.header("location")).await.expect(200).body, *task);

        let own = additional(&server, &client).await;
        let [address] = own.as_slice() else { panic!("{own:?}") };
        assert_eq!(address["address"], "192.0.2.2", "the lowest one that is not the gateway");
        let facts = ["ip_type", "netmask", "gateway", "reverse_dns"].map(|field| text(address, field));
        assert_eq!(facts, ["ipv4", "255.255.255.240", "192.0.2.1", "mail.example.com"]);
        assert_eq!((&address["vlan"], &address["interface"]), (&json!(7), &json!(0)));
        assert_eq!(address["mac_address"], before[0]["mac_address"], "it is on the same interface");
        let one = format!("{}/{}", path(&server), text(address, "id"));
        let read = client.get(&one).await.expect(200);
        assert_eq!(read.body, *address);

        assert!(configured(&server).await.is_empty());
        server.run_tasks().await;
        let done = client.get(answer.header("location")).await.expect(200).body;
        assert_eq!((text(&done, "status"), text(&done, "step")), ("completed", "attach_address"));
        assert!(configured(&server).await.contains("192.0.2.2"));
        assert_eq!(configured(&server).await.len(), 3);
        assert_eq!(published(&server, "192.0.2.2").await.as_deref(), Some("mail.example.com"));

        let named = client.patch(&one, &json!({"reverse_dns": "www.example.org."})).await.expect(200);
        assert_eq!(named.body["reverse_dns"], "www.example.org", "without the root's dot");
        assert_ne!(named.body["modified"], address["modified"]);
        let stale = [("if-match", read.header("etag"))];
        let body = json!({"reverse_dns": "a.example.org"}).to_string();
        client.send(Method::PATCH, &one, &stale, Some(body)).await.expect(412);
        client.send(Method::DELETE, &one, &stale, None).await.expect(412);
        let same = client.patch(&one, &json!({"reverse_dns": "www.example.org"})).await.expect(200);
        assert_eq!(same.header("etag"), named.header("etag"));
        assert_eq!(client.patch(&one, &json!({})).await.expect(200).body, named.body);
        assert_eq!(records(&server, &client, "ip_address.updated").await, 1, "a change of nothing is none");
        server.run_tasks().await;
        assert_eq!(published(&server, "192.0.2.2").await.as_deref(), Some("www.example.org"));

        client.delete(&one).await.expect(204);
        client.get(&one).await.expect(404);
        client.delete(&one).await.expect(404);
        assert_eq!(client.get(&path(&server)).await.expect(200).body, before);
        server.run_tasks().await;
        assert_eq!(configured(&server).await.len(), 2);
        assert_eq!(published(&server, "192.0.2.2").await, None);
        for action in ["ip_address.added", "ip_address.released"] {
            assert_eq!(records(&server, &client, action).await, 1, "{action}");
        }
    }

    async fn a_name_is_cleared_by_an_empty_text(server: Server) {
        let client = server.owner();
        let primary = client.get(&path(&server)).await.expect(200).body[0].clone();
        let one = format!("{}/{}", path(&server), text(&primary, "id"));
        assert_eq!(client.patch(&one, &json!({"reverse_dns": "a.example"})).await.expect(200).body["reverse_dns"], "a.example");
        assert_eq!(client.patch(&one, &json!({"reverse_dns": ""})).await.expect(200).body["reverse_dns"], "");
        server.run_tasks().await;
        assert_eq!(published(&server, text(&primary, "address")).await, None);
        for bad in ["mail", "a_b.example.com", "192.0.2.1", "-a.example.com", "a b.example.com", &format!("{}.example", "a".repeat(64))] {
            let faults = client.patch(&one, &json!({"reverse_dns": bad})).await.expect(400).body;
            assert!(faults["reverse_dns"][0].as_str().unwrap().contains("RFC 1123"), "{bad}");
        }
        let long = client.patch(&one, &json!({"reverse_dns": "a".repeat(256)})).await.expect(400).body;
        assert_eq!(long["reverse_dns"][0], "Ensure this field has no more than 255 characters.");
        client.patch(&one, &json!({"reverse_dns": null})).await.expect(400);
        client.patch(&one, &json!({"reverse_dns": 7})).await.expect(400);
    }

    async fn a_name_must_lead_to_its_address(server: Server, |config| {
        config.compute.reverse_dns_forward_check = true;
    }) {
        let client = server.owner();
        let primary = client.get(&path(&server)).await.expect(200).body[0].clone();
        let one = format!("{}/{}", path(&server), text(&primary, "id"));
        // RFC 6761: no name below .invalid resolves.
        let faults = client.patch(&one, &json!({"reverse_dns": "mail.example.invalid"})).await.expect(400).body;
        assert!(faults["reverse_dns"][0].as_str().unwrap().contains(text(&primary, "address")), "{faults}");
        client.patch(&one, &json!({"reverse_dns": ""})).await.expect(200);
    }

    async fn a_primary_address_stays(server: Server) {
        let client = server.owner();
        let all = client.get(&path(&server)).await.expect(200).body;
        for row in all.as_array().unwrap() {
            let refused = client.delete(&format!("{}/{}", path(&server), text(row, "id"))).await.expect(409).body;
            assert!(text(&refused, "detail").contains("primary"), "{refused}");
        }
        assert_eq!(client.get(&path(&server)).await.expect(200).body, all);
    }

    async fn many_at_once_get_addresses_of_their_own(server: Server, |config| {
        config.compute.addresses_per_instance = 100;
    }) {
        only(&server, &[("192.0.2.0/28", "192.0.2.1")]).await;
        let client = server.owner();
        // Those at the same location, so that not only the lock of one instance is in the way.
        let location = text(&client.get(&server.instance()).await.expect(200).body["location"], "id").to_owned();
        let found = client.get(&server.project(&format!("/compute/instances?status=active&location_id={location}"))).await.expect(200).body;
        let ids: Vec<String> = found["results"].as_array().unwrap().iter().map(|row| text(row, "id").to_owned()).collect();
        assert!(ids.len() > 1);
        let answers = at_once(|number| {
            let path = server.project(&format!("/compute/instances/{}/ip-addresses", ids[number % ids.len()]));
            let client = client.clone();
            async move { client.post(&path, &json!({})).await }
        })
        .await;
        let given = answers.iter().filter(|answer| answer.status == 202).count();
        assert_eq!(given, 13, "14 hosts without the gateway");
        for refused in answers.iter().filter(|answer| answer.status != 202) {
            assert_eq!(refused.status, 400, "{}", refused.text);
            assert!(refused.body["ip_type"][0].as_str().unwrap().starts_with("All IPv4 addresses"), "{}", refused.text);
        }
        assert_eq!(answers.len(), CLIENTS);
        let list = client.get(&server.project("/compute/ip-addresses?search=192.0.2.&page_size=100")).await.expect(200).body;
        let distinct: HashSet<&str> = list["results"].as_array().unwrap().iter().map(|row| text(row, "address")).collect();
        assert_eq!((list["count"].clone(), distinct.len()), (json!(13), 13));
        assert!(!distinct.contains("192.0.2.1") && !distinct.contains("192.0.2.0") && !distinct.contains("192.0.2.15"));
    }

    async fn a_released_address_rests(server: Server) {
        only(&server, &[("192.0.2.0/29", "192.0.2.1")]).await;
        let client = server.owner();
        for _ in 0..5 {
            add(&server, &client).await;
        }
        client.post(&path(&server), &json!({})).await.expect(400);
        let third = additional(&server, &client).await[2].clone();
        client.delete(&format!("{}/{}", path(&server), text(&third, "id"))).await.expect(204);
        client.post(&path(&server), &json!({})).await.expect(400);
        server.clock.advance(HOUR * 12);
        let first = additional(&server, &client).await[0].clone();
        client.delete(&format!("{}/{}", path(&server), text(&first, "id"))).await.expect(204);
        server.clock.advance(HOUR * 11);
        client.post(&path(&server), &json!({})).await.expect(400);
        server.clock.advance(HOUR * 2);
        add(&server, &client).await;
        let again = additional(&server, &client).await;
        assert!(again.iter().any(|row| row["address"] == third["address"] && row["id"] != third["id"]), "{again:?}");
        client.post(&path(&server), &json!({})).await.expect(400);
        server.clock.advance(HOUR * 12);
        add(&server, &client).await;
        assert!(additional(&server, &client).await.iter().any(|row| row["address"] == first["address"]));
    }

    async fn a_large_network_costs_no_more(server: Server, |config| {
        config.compute.addresses_per_instance = 100;
    }) {
        only(&server, &[("2001:db8:77::/64", "2001:db8:77::1")]).await;
        let client = server.owner();
        let refused = client.post(&path(&server), &json!({})).await.expect(400).body;
        assert!(refused["ip_type"][0].as_str().unwrap().starts_with("There are no additional IPv4"), "{refused}");
        for _ in 0..3 {
            client.post(&path(&server), &json!({"ip_type": "ipv6"})).await.expect(202);
        }
        let all = additional(&server, &client).await;
        let addresses: Vec<&str> = all.iter().map(|row| text(row, "address")).collect();
        assert_eq!(addresses, ["2001:db8:77::2", "2001:db8:77::3", "2001:db8:77::4"]);
        assert_eq!((text(&all[0], "netmask"), text(&all[0], "gateway")), ("64", "2001:db8:77::1"));
    }

    async fn what_cannot_be_added_is_told(server: Server, |config| {
        config.compute.addresses_per_instance = 4;
    }) {
        let client = server.owner();
        let bad = client.post(&path(&server), &json!({"ip_type": "ipv5", "reverse_dns": 3})).await.expect(400).body;
        assert_eq!((bad["ip_type"][0].as_str(), bad["reverse_dns"][0].as_str()), (Some("\"ipv5\" is not a valid choice."), Some("Not a valid string.")));
        client.post(&path(&server), &json!({"reverse_dns": "no name"})).await.expect(400);
        client.post(&path(&server), &json!([])).await.expect(400);
        assert!(additional(&server, &client).await.is_empty());
        // An empty body is the default: IPv4, no name.
        add(&server, &client).await;
        add(&server, &client).await;
        let full = client.post(&path(&server), &json!({})).await.expect(400).body;
        assert!(text(&full, "detail").contains("at most 4"), "{full}");
        set_status(&server, InstanceStatus::Suspended).await;
        let refused = client.post(&path(&server), &json!({})).await.expect(409).body;
        assert!(text(&refused, "detail").contains("suspended"), "{refused}");
    }

    async fn an_address_that_the_guest_cannot_have_is_given_back(server: Server) {
        let client = server.owner();
        let before = client.get(&path(&server)).await.expect(200).body;
        let task = add(&server, &client).await["task"].clone();
        kernel::crash::fail_at("attach_address", 1);
        server.run_tasks().await;
        let task = client.get(&server.project(&format!("/compute/tasks/{}", text(&task, "id")))).await.expect(200).body;
        assert_eq!(task["status"], "failed", "{task}");
        assert_eq!(client.get(&path(&server)).await.expect(200).body, before);
        assert_eq!(configured(&server).await.len(), 2);
        assert_eq!(records(&server, &client, "ip_address.add_failed").await, 1);
    }

    async fn a_key_adds_one_address(server: Server) {
        let client = server.owner();
        let headers = [("idempotency-key", "one more")];
        let path_of_all = path(&server);
        let send = || client.send(Method::POST, &path_of_all, &headers, Some("{}".to_owned()));
        let (first, second) = (send().await.expect(202), send().await.expect(202));
        assert_eq!((first.body, first.text), (second.body, second.text));
        assert_eq!(additional(&server, &client).await.len(), 1);
    }

    async fn addresses_are_listed_by_page_and_filter(server: Server) {
        let client = server.owner();
        let list = |query: &str| {
            let path = server.project(&format!("/compute/ip-addresses{query}"));
            let client = client.clone();
            async move { client.get(&path).await.expect(200).body }
        };
        let all = list("").await;
        let count = all["count"].as_i64().unwrap();
        assert!(count > 20 && all["results"].as_array().unwrap().len() == 20 && all["next"].is_string());
        let (four, six) = (list("?ip_type=ipv4").await, list("?ip_type=ipv6").await);
        assert_eq!(four["count"].as_i64().unwrap() + six["count"].as_i64().unwrap(), count);
        assert!(six["results"].as_array().unwrap().iter().all(|row| text(row, "address").contains(':')));
        let own = list(&format!("?instance_id={}", server.facts.owner.instance_id)).await;
        assert_eq!(own["count"], 2);
        let address = text(&own["results"][0], "address");
        assert_eq!(list(&format!("?search={address}&instance_id={}", server.facts.owner.instance_id)).await["count"], 1);
        let name = text(&own["results"][0], "reverse_dns").to_uppercase();
        assert!(list(&format!("?search={name}")).await["count"].as_i64().unwrap() >= 2);
        assert_eq!(list("?search=%25").await["count"], 0);
        let mut seen = HashSet::new();
        for page in 1..=(count + 6).div_euclid(7) {
            let results = list(&format!("?page_size=7&page={page}")).await["results"].clone();
            seen.extend(results.as_array().unwrap().iter().map(|row| text(row, "id").to_owned()));
        }
        assert_eq!(i64::try_from(seen.len()).unwrap(), count);
        client.get(&server.project("/compute/ip-addresses?page=99")).await.expect(404);
        let faults = client.get(&server.project("/compute/ip-addresses?ip_type=x&instance_id=y")).await.expect(400).body;
        assert!(faults["ip_type"].is_array() && faults["instance_id"].is_array());
    }

    async fn who_may_is_who_may(server: Server) {
        let client = server.owner();
        add(&server, &client).await;
        let row = additional(&server, &client).await[0].clone();
        let one = format!("{}/{}", path(&server), text(&row, "id"));
        let (viewer, _) = server.member(Role::Viewer).await;
        viewer.get(&path(&server)).await.expect(200);
        viewer.get(&one).await.expect(200);
        viewer.get(&server.project("/compute/ip-addresses")).await.expect(200);
        viewer.post(&path(&server), &json!({})).await.expect(403);
        viewer.patch(&one, &json!({"reverse_dns": "a.example"})).await.expect(403);
        viewer.delete(&one).await.expect(403);
        let stranger = server.stranger();
        for answer in [
            stranger.get(&path(&server)).await, stranger.get(&one).await, stranger.post(&path(&server), &json!({})).await,
            stranger.delete(&one).await, stranger.get(&server.project("/compute/ip-addresses")).await,
        ] {
            answer.expect(404);
        }
        // An address of another instance is none of this one's.
        let others = client.get(&server.project("/compute/ip-addresses?page_size=100")).await.expect(200).body;
        let mine: Vec<Value> = client.get(&path(&server)).await.expect(200).body.as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
        let other = others["results"].as_array().unwrap().iter().find(|row| !mine.contains(&row["id"])).unwrap();
        let wrong = format!("{}/{}", path(&server), text(other, "id"));
        client.get(&wrong).await.expect(404);
        client.patch(&wrong, &json!({"reverse_dns": ""})).await.expect(404);
        client.delete(&wrong).await.expect(404);
        client.get(&format!("{}/seven", path(&server))).await.expect(404);
        let gone = server.project("/compute/instances/018f0000-0000-7000-8000-000000000000/ip-addresses");
        client.get(&gone).await.expect(404);
        client.post(&gone, &json!({})).await.expect(404);
        client.delete(&one).await.expect(204);
    }

    async fn an_instance_begins_and_ends_with_its_addresses(server: Server) {
        let slug = only(&server, &[("192.0.2.0/28", "192.0.2.1"), ("2001:db8:77::/64", "fe80::1")]).await;
        let mut extra = pool(&slug, "198.51.100.0/30", "198.51.100.1");
        extra.purpose = Purpose::Additional;
        add_pool(&server, extra).await.unwrap();
        let id = server.facts.owner.instance_id;
        let work = move |tx: &mut kernel::store::Tx<'_>| {
            addresses::release_all(tx, id)?;
            let (location, organization, project) = instances::table.find(id)
                .select((instances::location_id, instances::organization_id, instances::project_id))
                .first(tx.conn())?;
            let mut given = Vec::new();
            for family in [IpType::Ipv4, IpType::Ipv6] {
                let row = addresses::allocate(tx, location, organization, project, id, family, true)?;
                given.push(row.expect("there are pools"));
            }
            let mut claim = Claim { location, organization, project, instance: id, family: IpType::Ipv4, primary: true };
            let mac = addresses::mac_for(tx, id, 0)?;
            let other = addresses::mac_for(tx, id, 1)?;
            assert!(given.iter().all(|row| row.mac_address == mac) && mac != other && mac.starts_with("02:"), "{mac} {other}");
            let primaries: (Option<_>, Option<_>) = instances::table.find(id)
                .select((instances::primary_ipv4, instances::primary_ipv6)).first(tx.conn())?;
            assert_eq!(primaries, (Some(given[0].id), Some(given[1].id)));
            // A pool for additional addresses only is none for primary ones.
            for _ in 0..12 {
                assert!(matches!(addresses::claim(tx, &claim)?, Allocation::Given(_)));
            }
            assert!(matches!(addresses::claim(tx, &claim)?, Allocation::Exhausted));
            claim.primary = false;
            let Allocation::Given(last) = addresses::claim(tx, &claim)? else { panic!("the pool for additional ones has one") };
            assert_eq!(last.address, "198.51.100.2");
            assert!(matches!(addresses::claim(tx, &claim)?, Allocation::Exhausted));
            addresses::release_all(tx, id)?;
            let left: i64 = ip_addresses::table.filter(ip_addresses::instance_id.eq(id)).count().get_result(tx.conn())?;
            let interfaces: i64 = instance_interfaces::table.filter(instance_interfaces::instance_id.eq(id)).count().get_result(tx.conn())?;
            assert_eq!((left, interfaces), (0, 0));
            let now = tx.now();
            let fills = pools::list(tx.conn(), now)?;
            let fill = fills.iter().find(|fill| fill.pool.cidr == "192.0.2.0/28").unwrap();
            assert_eq!((fill.in_use, fill.resting, fill.free), (0, 13, 0));
            Ok::<InstanceId, ApiError>(id)
        };
        server.app.store().write("test", work).await.unwrap();
        let shown = server.owner().get(&server.instance()).await.expect(200).body;
        assert_eq!((&shown["primary_ipv4"], &shown["ip_addresses"]), (&Value::Null, &json!([])));
    }

    async fn pools_are_checked(server: Server) {
        let slug = only(&server, &[("192.0.2.0/25", "192.0.2.1")]).await;
        let faulty = [
            (pool(&slug, "192.0.2.0/24", "192.0.2.1"), "some of these addresses"),
            (pool(&slug, "192.0.2.64/26", "192.0.2.65"), "some of these addresses"),
            (pool(&slug, "198.51.100.1/24", "198.51.100.1"), "198.51.100.0/24"),
            (pool(&slug, "198.51.100.0/24", "192.0.2.1"), "gateway"),
            (pool("nowhere", "198.51.100.0/24", "198.51.100.1"), "location"),
        ];
        for (wanted, told) in faulty {
            let error = add_pool(&server, wanted).await.unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
        }
        add_pool(&server, pool(&slug, "192.0.2.128/25", "192.0.2.129")).await.unwrap();
    }

    async fn an_address_is_found_and_named_wherever_it_is(server: Server) {
        only(&server, &[("192.0.2.0/28", "192.0.2.1")]).await;
        let client = server.owner();
        add(&server, &client).await;
        let own = additional(&server, &client).await[0].clone();
        let one = server.project(&format!("/compute/ip-addresses/{}", text(&own, "id")));
        let found = client.get(&one).await.expect(200);
        assert_eq!(found.body, own);
        let named = client
            .patch(&one, &json!({"reverse_dns": "mail.example.org."}))
            .await
            .expect(200);
        assert_eq!(named.body["reverse_dns"], "mail.example.org");
        let stale = [("if-match", found.header("etag"))];
        let body = json!({"reverse_dns": "other.example.org"}).to_string();
        client
            .send(Method::PATCH, &one, &stale, Some(body))
            .await
            .expect(412);
        server.run_tasks().await;
        assert_eq!(
            published(&server, text(&own, "address")).await.as_deref(),
            Some("mail.example.org")
        );
        client
            .patch(&one, &json!({"reverse_dns": "not a name"}))
            .await
            .expect(400);
        for stranger in [
            server.stranger().get(&one).await,
            server.stranger().patch(&one, &json!({"reverse_dns": ""})).await,
        ] {
            stranger.expect(404);
        }
        client
            .get(&server.project(&format!("/compute/ip-addresses/{}", kernel::id::AnyId::new())))
            .await
            .expect(404);
    }

    async fn networks_are_the_pools_that_the_project_has_addresses_of(server: Server) {
        let place = only(
            &server,
            &[("192.0.2.0/28", "192.0.2.1"), ("10.9.0.0/24", "10.9.0.1")],
        )
        .await;
        let (client, list) = (server.owner(), server.project("/compute/networks"));
        let before = client.get(&list).await.expect(200).body["count"]
            .as_i64()
            .unwrap();
        add(&server, &client).await;
        let own = additional(&server, &client).await[0].clone();
        let page = client.get(&list).await.expect(200).body;
        assert_eq!(
            page["count"],
            before + 1,
            "the other pool is nobody's here: {page}"
        );
        let all = page["results"].as_array().unwrap();
        let network = all
            .iter()
            .find(|network| network["id"] == own["network_id"])
            .unwrap();
        let facts =
            ["cidr_block", "gateway", "netmask", "network_type", "ip_type"].map(|field| text(network, field));
        assert_eq!(
            facts,
            ["192.0.2.0/28", "192.0.2.1", "255.255.255.240", "public", "ipv4"]
        );
        assert_eq!(
            (&network["vlan"], &network["available_ips"], &network["is_active"]),
            (&json!(7), &json!(12), &json!(true))
        );
        assert_eq!(network["name"], format!("{place} 192.0.2.0/28"));
        assert_eq!(network["location"]["slug"], place.as_str());
        let one = format!("{list}/{}", text(network, "id"));
        assert_eq!(client.get(&one).await.expect(200).body, *network);
        let elsewhere = client
            .get(&format!("{list}?location_id={}", kernel::id::AnyId::new()))
            .await
            .expect(200);
        assert_eq!(elsewhere.body["count"], 0);
        server.stranger().get(&one).await.expect(404);
        let theirs = format!(
            "/v1/organizations/{}/projects/{}/compute/networks/{}",
            server.facts.stranger.organization_id,
            server.facts.stranger.project_id,
            text(network, "id")
        );
        server.stranger().get(&theirs).await.expect(404);
    }
}

#[test]
fn operators_look_after_pools() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(env!("CARGO_BIN_EXE_onetd"), &folder.path().join("data"));
    let run = |arguments: &[&str]| {
        let output = program.run(arguments);
        let (out, error) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        (
            output.status.success(),
            if output.status.success() { out } else { error },
        )
    };
    assert!(run(&["addresses", "list-pools"]).1.contains("no pools"));
    assert!(run(&["demo", "--instances", "1"]).0);
    let add = |location: &str, cidr: &str, gateway: &str| {
        run(&[
            "addresses",
            "add-pool",
            "--location",
            location,
            "--cidr",
            cidr,
            "--gateway",
            gateway,
            "--vlan",
            "12",
        ])
    };
    assert_eq!(
        add("par1", "192.0.2.0/24", "192.0.2.1"),
        (true, "Added 192.0.2.0/24: 192.0.2.1 to 192.0.2.254.\n".to_owned())
    );
    let (done, told) = add("par9", "192.0.2.0/25", "192.0.3.1");
    assert!(
        !done && told.contains("location") && told.contains("gateway") && told.contains("cidr"),
        "{told}"
    );
    assert!(!add("par1", "192.0.2.0", "192.0.2.1").0);
    let listed = run(&["addresses", "list-pools"]).1;
    let line = listed.lines().find(|line| line.contains("192.0.2.0/24")).unwrap();
    assert_eq!(
        line,
        "par1  192.0.2.0/24  gateway 192.0.2.1  VLAN 12  0 in use, 0 resting, 253 free"
    );
    assert!(
        run(&["addresses", "disable-pool", "192.0.2.0/24"])
            .1
            .contains("No more")
    );
    assert!(
        run(&["addresses", "disable-pool", "192.0.2.0/24"])
            .1
            .contains("already")
    );
    assert!(run(&["addresses", "list-pools"]).1.contains("253 free  disabled"));
    assert!(run(&["addresses", "enable-pool", "192.0.2.0/24"]).0);
    assert!(!run(&["addresses", "disable-pool", "198.51.100.0/24"]).0);
}
