//! VPCs of one's own: blocks, subnets, members and their private addresses.

use std::net::IpAddr;

use futures_util::future::join_all;
use hypervisor::double::Fault;
use kernel::{
    access::Role,
    config::{Config, MachineNetwork},
};
use serde_json::{Value, json};
use testkit::{Answer, Server, on_both};

use super::{Life, only_for_editors};

/// Guests are told their addresses.
fn bridged(config: &mut Config) {
    config.compute.network = MachineNetwork::Bridge;
}

async fn make(server: &Server, life: &Life, block: &str) -> Answer {
    let body = json!({"name": "own", "cidr_block": block, "location_id": life.instance["location"]["id"]});
    server.owner().post(&server.project("/compute/vpcs"), &body).await
}

fn path_of(server: &Server, vpc: &Value, rest: &str) -> String {
    server.project(&format!("/compute/vpcs/{}{rest}", vpc["id"].as_str().unwrap()))
}

async fn list(server: &Server, path: &str) -> Vec<Value> {
    server.owner().get(path).await.expect(200).body["results"]
        .as_array()
        .unwrap()
        .clone()
}

/// The members of a VPC, by the address that they have.
async fn addresses(server: &Server, vpc: &Value) -> Vec<Option<String>> {
    let members = list(server, &path_of(server, vpc, "/members?page_size=100")).await;
    members
        .iter()
        .map(|member| member["ip_address"].as_str().map(str::to_owned))
        .collect()
}

async fn join(server: &Server, vpc: &Value, instance: &Value, with: Value) -> Answer {
    let mut body = with;
    body["instance_id"] = instance["id"].clone();
    server
        .owner()
        .post(&path_of(server, vpc, "/members"), &body)
        .await
}

/// What the guest is told of its private interface at its next start.
fn told(life: &Life) -> Vec<String> {
    let seed = life.site.host.seed(life.vm()).unwrap();
    let interfaces = seed.network.map(|network| network.interfaces).unwrap_or_default();
    let private = interfaces.get(1).map(|interface| interface.addresses.clone());
    private
        .unwrap_or_default()
        .iter()
        .map(|address| format!("{}/{}", address.ip, address.prefix))
        .collect()
}

on_both! {
    async fn a_vpc_is_made_with_its_first_subnet_and_deleted(server: Server) {
        let life = Life::begin(&server).await;
        let made = make(&server, &life, "192.168.10.0/24").await.expect(201);
        assert!(!made.header("location").is_empty() && !made.header("etag").is_empty());
        let vpc = made.body;
        assert_eq!((&vpc["cidr_block"], &vpc["is_active"], &vpc["location"]), (&json!("192.168.10.0/24"), &json!(true), &life.instance["location"]));
        let subnets = list(&server, &path_of(&server, &vpc, "/subnets")).await;
        assert_eq!(subnets.len(), 1);
        assert_eq!((&subnets[0]["cidr_block"], &subnets[0]["gateway"], &subnets[0]["name"]), (&json!("192.168.10.0/24"), &json!("192.168.10.1"), &json!("default")));
        assert_eq!((&subnets[0]["total_ips"], &subnets[0]["available_ips"], &subnets[0]["vlan"]), (&json!(253), &json!(253), &Value::Null));
        let path = path_of(&server, &vpc, "");
        let named = server.owner().patch(&path, &json!({"name": "renamed"})).await.expect(200).body;
        assert_eq!(named["name"], "renamed");
        let put = json!({"name": "again", "cidr_block": "192.168.10.0/24", "is_active": false});
        assert_eq!(server.owner().put(&path, &put).await.expect(200).body["is_active"], false);
        for (body, field) in [
            (json!({"name": "x", "cidr_block": "192.168.11.0/24"}), "cidr_block"),
            (json!({"name": "x", "cidr_block": "192.168.10.0/24", "location_id": kernel::id::AnyId::new().to_string()}), "location_id"),
            (json!({"cidr_block": "192.168.10.0/24"}), "name"),
        ] {
            let answer = server.owner().put(&path, &body).await.expect(400);
            assert!(answer.body[field].is_array(), "{}", answer.text);
        }
        let closed = join(&server, &vpc, &life.instance, json!({})).await.expect(409);
        assert!(closed.text.contains("not active"), "{}", closed.text);
        let (viewer, _) = server.member(Role::Viewer).await;
        viewer.get(&path).await.expect(200);
        viewer.delete(&path).await.expect(403);
        server.stranger().delete(&path).await.expect(404);
        server.owner().delete(&path).await.expect(204);
        server.owner().get(&path).await.expect(404);
        server.owner().get(&path_of(&server, &vpc, "/subnets")).await.expect(404);
        let left = list(&server, &server.project("/compute/vpcs?page_size=100")).await;
        assert!(left.iter().all(|other| other["id"] != vpc["id"]));
    }

    async fn blocks_that_make_no_sense_are_refused(server: Server) {
        let life = Life::begin(&server).await;
        for block in ["10.0.0.0/8", "10.0.0.0/29", "10.0.0.1/24", "8.8.8.0/24", "fd00::/64", "lots", ""] {
            let answer = make(&server, &life, block).await.expect(400);
            assert!(answer.body["cidr_block"].is_array(), "{block}: {}", answer.text);
        }
        let path = server.project("/compute/vpcs");
        let unknown = kernel::id::AnyId::new().to_string();
        for body in [json!({"name": "x", "cidr_block": "10.9.0.0/16"}), json!({"name": "x", "cidr_block": "10.9.0.0/16", "location_id": unknown})] {
            let answer = server.owner().post(&path, &body).await.expect(400);
            assert!(answer.body["location_id"].is_array(), "{}", answer.text);
        }
        only_for_editors(&server, &path, &json!({"name": "x", "cidr_block": "10.9.0.0/16", "location_id": life.instance["location"]["id"]})).await;
    }

    async fn subnets_lie_beside_each_other(server: Server) {
        let life = Life::begin(&server).await;
        let vpc = make(&server, &life, "10.7.0.0/16").await.expect(201).body;
        let subnets = path_of(&server, &vpc, "/subnets");
        let overlap = server.owner().post(&subnets, &json!({"name": "web", "cidr_block": "10.7.1.0/24"})).await.expect(400);
        assert!(overlap.body["cidr_block"][0].as_str().unwrap().contains("overlaps"), "{}", overlap.text);
        let first = list(&server, &subnets).await[0].clone();
        server.owner().delete(&format!("{subnets}/{}", first["id"].as_str().unwrap())).await.expect(204);
        let body = json!({"name": "web", "cidr_block": "10.7.1.0/29", "gateway": "10.7.1.3", "dns_servers": ["10.7.1.2"], "dhcp_enabled": false});
        let web = server.owner().post(&subnets, &body).await.expect(201).body;
        assert_eq!((&web["gateway"], &web["dns_servers"], &web["dhcp_enabled"], &web["total_ips"]), (&json!("10.7.1.3"), &json!(["10.7.1.2"]), &json!(false), &json!(5)));
        for (fault, field) in [
            (json!({"cidr_block": "10.8.0.0/24"}), "cidr_block"),
            (json!({"cidr_block": "10.7.1.0/24"}), "cidr_block"),
            (json!({"cidr_block": "10.7.2.0/30"}), "cidr_block"),
            (json!({"cidr_block": "10.7.2.1/24"}), "cidr_block"),
            (json!({"gateway": "10.7.3.1"}), "gateway"),
            (json!({"gateway": "10.7.2.0"}), "gateway"),
            (json!({"dns_servers": ["dns.example"]}), "dns_servers"),
            (json!({"name": ""}), "name"),
        ] {
            let mut body = json!({"name": "db", "cidr_block": "10.7.2.0/24"});
            for (name, value) in fault.as_object().unwrap() {
                body[name] = value.clone();
            }
            let answer = server.owner().post(&subnets, &body).await.expect(400);
            assert!(answer.body[field].is_array(), "{fault}: {}", answer.text);
        }
        let path = format!("{subnets}/{}", web["id"].as_str().unwrap());
        let answer = server.owner().put(&path, &json!({"name": "web", "cidr_block": "10.7.1.0/28"})).await.expect(400);
        assert!(answer.body["cidr_block"].is_array(), "{}", answer.text);
        let replaced = server.owner().put(&path, &json!({"name": "front", "cidr_block": "10.7.1.0/29"})).await.expect(200).body;
        assert_eq!((&replaced["name"], &replaced["gateway"], &replaced["dhcp_enabled"], &replaced["dns_servers"]), (&json!("front"), &json!("10.7.1.1"), &json!(true), &json!([])));
        // Of two overlapping ranges at once, one is made.
        let both = ["10.7.4.0/24", "10.7.4.128/25"].map(|block| {
            let (client, subnets) = (server.owner(), subnets.clone());
            async move { client.post(&subnets, &json!({"name": "race", "cidr_block": block})).await.status }
        });
        let mut statuses = join_all(both).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 400]);
        server.stranger().get(&path).await.expect(404);
        only_for_editors(&server, &subnets, &json!({"name": "db", "cidr_block": "10.7.9.0/24"})).await;
    }

    async fn members_have_addresses_of_their_own(server: Server) {
        let life = Life::begin(&server).await;
        let home = life.instance["vpc"].clone();
        let before = addresses(&server, &home).await;
        assert!(before.iter().flatten().any(|address| address.parse::<IpAddr>().is_ok()), "{before:?}");
        let vpc = make(&server, &life, "172.20.0.0/28").await.expect(201).body;
        let wrong = join(&server, &vpc, &life.instance, json!({"ip_address": "172.21.0.5"})).await.expect(400);
        assert!(wrong.body["ip_address"].is_array(), "{}", wrong.text);
        let gateway = join(&server, &vpc, &life.instance, json!({"ip_address": "172.20.0.1"})).await.expect(400);
        assert!(gateway.body["ip_address"][0].as_str().unwrap().contains("gateway"), "{}", gateway.text);
        let unknown = json!({"subnet_id": kernel::id::AnyId::new().to_string()});
        assert!(join(&server, &vpc, &life.instance, unknown).await.expect(400).body["subnet_id"].is_array());
        assert!(join(&server, &vpc, &json!({"id": server.facts.stranger.instance_id.to_string()}), json!({})).await.expect(400).body["instance_id"].is_array());
        let member = join(&server, &vpc, &life.instance, json!({"ip_address": "172.20.0.9"})).await.expect(201).body;
        assert_eq!((&member["status"], &member["ip_address"], &member["interface"]), (&json!("pending"), &json!("172.20.0.9"), &json!(1)));
        assert_eq!(member["instance"]["id"], life.instance["id"]);
        assert!(member["task_id"].is_string() && member["mac_address"].as_str().unwrap().len() == 17);
        server.owner().delete(&path_of(&server, &vpc, "")).await.expect(409);
        join(&server, &vpc, &life.instance, json!({})).await.expect(409);
        server.run_tasks().await;
        let path = path_of(&server, &vpc, &format!("/members/{}", life.instance["id"].as_str().unwrap()));
        let there = server.owner().get(&path).await.expect(200).body;
        assert_eq!((&there["status"], &there["task_id"], &there["ip_address"]), (&json!("attached"), &Value::Null, &json!("172.20.0.9")));
        assert_eq!(life.get(&server).await["vpc"]["id"], vpc["id"]);
        assert_eq!(addresses(&server, &home).await.len(), before.len() - 1);
        let subnet = list(&server, &path_of(&server, &vpc, "/subnets")).await[0].clone();
        assert_eq!((&subnet["total_ips"], &subnet["available_ips"]), (&json!(13), &json!(12)));
        let subnet_path = path_of(&server, &vpc, &format!("/subnets/{}", subnet["id"].as_str().unwrap()));
        server.owner().delete(&subnet_path).await.expect(409);
        let taken = server.owner().patch(&subnet_path, &json!({"gateway": "172.20.0.9"})).await.expect(400);
        assert!(taken.body["gateway"].is_array(), "{}", taken.text);
        let task = server.owner().delete(&path).await.expect(202).body;
        assert_eq!(task["task_type"], "detach_vpc");
        server.owner().get(&path).await.expect(404);
        server.run_tasks().await;
        assert_eq!(life.get(&server).await["vpc"]["id"], home["id"]);
        assert_eq!(addresses(&server, &vpc).await, []);
        server.owner().delete(&path_of(&server, &vpc, "")).await.expect(204);
        let default = path_of(&server, &home, &format!("/members/{}", life.instance["id"].as_str().unwrap()));
        server.owner().delete(&default).await.expect(409);
        only_for_editors(&server, &path_of(&server, &home, "/members"), &json!({"instance_id": life.instance["id"]})).await;
    }

    async fn the_last_address_goes_once_and_the_lowest_free_one_is_next(server: Server) {
        let life = Life::begin(&server).await;
        let vpc = make(&server, &life, "10.30.0.0/16").await.expect(201).body;
        let subnets = path_of(&server, &vpc, "/subnets");
        let first = list(&server, &subnets).await[0]["id"].as_str().unwrap().to_owned();
        server.owner().delete(&format!("{subnets}/{first}")).await.expect(204);
        let small = json!({"name": "small", "cidr_block": "10.30.0.0/29", "gateway": "10.30.0.3"});
        server.owner().post(&subnets, &small).await.expect(201);
        let mut others = Vec::new();
        for number in 0..6 {
            others.push(life.site.running(&server, &format!("m{number}")).await);
        }
        for other in &others[..4] {
            join(&server, &vpc, other, json!({})).await.expect(201);
        }
        let given = |number: u8| Some(format!("10.30.0.{number}"));
        assert_eq!(addresses(&server, &vpc).await, [given(1), given(2), given(4), given(5)]);
        // Two want the last one.
        let wanted = others[4..].iter().map(|other| join(&server, &vpc, other, json!({})));
        let mut statuses: Vec<u16> = join_all(wanted).await.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
        server.run_tasks().await;
        // One is deleted, and its address is the next one.
        server.owner().delete(&life.site.path(&server, &others[1])).await.expect(202);
        server.run_tasks().await;
        let member = join(&server, &vpc, &life.instance, json!({})).await.expect(201).body;
        assert_eq!(member["ip_address"], "10.30.0.2");
    }

    async fn a_move_that_fails_keeps_the_old_address(server: Server) {
        let life = Life::begin(&server).await;
        let home = life.instance["vpc"].clone();
        let own = |members: Vec<Value>| members.into_iter().find(|member| member["id"] == life.instance["id"]);
        let before = own(list(&server, &path_of(&server, &home, "/members?page_size=100")).await).unwrap();
        let vpc = make(&server, &life, "10.40.0.0/24").await.expect(201).body;
        for _ in 0..6 {
            life.site.host.fail("attach_interface", Fault::Passing);
        }
        join(&server, &vpc, &life.instance, json!({})).await.expect(201);
        life.site.run_with_retries(&server).await;
        assert_eq!(addresses(&server, &vpc).await, []);
        let after = own(list(&server, &path_of(&server, &home, "/members?page_size=100")).await).unwrap();
        assert_eq!((&after["ip_address"], &after["status"]), (&before["ip_address"], &json!("attached")));
        server.owner().delete(&path_of(&server, &vpc, "")).await.expect(204);
    }

    async fn a_guest_is_told_its_private_address(server: Server, |config| { bridged(config); }) {
        let life = Life::begin(&server).await;
        let members = list(&server, &path_of(&server, &life.instance["vpc"], "/members?page_size=100")).await;
        let own = members.iter().find(|member| member["id"] == life.instance["id"]).unwrap();
        let block = life.instance["vpc"]["cidr_block"].as_str().unwrap();
        let length = block.split_once('/').unwrap().1;
        assert_eq!(told(&life), [format!("{}/{length}", own["ip_address"].as_str().unwrap())]);
        // Nobody else may send as it.
        let spec = life.site.host.spec(life.vm()).unwrap();
        assert_eq!(spec.interfaces[1].addresses.len(), 1);
        let vpc = make(&server, &life, "10.50.0.0/24").await.expect(201).body;
        life.done(&server, "vpc/attach", &json!({"vpc_id": vpc["id"], "private_ip": "10.50.0.77"})).await;
        assert_eq!(told(&life), ["10.50.0.77/24"]);
        assert_eq!(life.site.host.spec(life.vm()).unwrap().interfaces[1].addresses[0].ip.to_string(), "10.50.0.77");
        // One whose members are not told keeps its address all the same.
        let subnet = list(&server, &path_of(&server, &vpc, "/subnets")).await[0]["id"].as_str().unwrap().to_owned();
        let path = path_of(&server, &vpc, &format!("/subnets/{subnet}"));
        server.owner().patch(&path, &json!({"dhcp_enabled": false})).await.expect(200);
        life.done(&server, "rebuild-network", &json!({})).await;
        assert_eq!(told(&life), Vec::<String>::new());
        assert_eq!(life.site.host.spec(life.vm()).unwrap().interfaces[1].addresses.len(), 1);
    }
}
