//! What onet does by itself about machines: looks at them, starts them again, gets rid of what is nobody's.

use std::time::Duration;

use compute::schema::{hosts, machines};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use hypervisor::{DiskLimits, DiskMode, Hypervisor, RootDisk, VmId, VmSpec, double::Fault};
use kernel::{http::ApiError, id::AnyId, tasks::NewTask, time::Time};
use serde_json::{Value, json};
use testkit::{Server, on_both};
use uuid::Uuid;

use crate::machines::{Site, digest};

/// One look at every host.
pub(crate) async fn look(server: &Server) {
    compute::reconciler::round(&server.onet().compute)
        .await
        .expect("a look");
}

/// What was last seen of an instance.
pub(crate) async fn state(server: &Server, site: &Site, instance: &Value) -> Value {
    let path = format!("{}/state", site.path(server, instance));
    server.owner().get(&path).await.expect(200).body
}

/// The types of an instance's tasks, the newest first, with their states.
async fn tasks(server: &Server, instance: &Value) -> Vec<(String, String)> {
    let path = server.project(&format!(
        "/compute/tasks?instance_id={}",
        instance["id"].as_str().unwrap()
    ));
    let found = server.owner().get(&path).await.expect(200).body;
    let word = |task: &Value, field: &str| task[field].as_str().unwrap().to_owned();
    found["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| (word(task, "task_type"), word(task, "status")))
        .collect()
}

/// How many audit records there are of an action.
pub(crate) async fn audited(server: &Server, action: &str) -> u64 {
    let path = format!(
        "/v1/organizations/{}/audit-logs?action={action}",
        server.facts.owner.organization_id
    );
    server.owner().get(&path).await.expect(200).body["count"]
        .as_u64()
        .unwrap()
}

/// When the host was last looked at.
async fn last_seen(server: &Server) -> Option<Time> {
    server
        .app
        .store()
        .read("test", |conn| {
            Ok::<_, ApiError>(hosts::table.select(hosts::last_seen_at).first(conn)?)
        })
        .await
        .unwrap()
}

/// A machine on the host that is in no row.
async fn stray(site: &Site, number: u128) -> VmId {
    let vm = VmId(Uuid::from_u128(0x0199_c0de << 96 | 0x7000_8000 << 48 | number));
    let disk = RootDisk {
        image: digest(),
        size_bytes: 1 << 30,
        mode: DiskMode::Overlay,
    };
    site.host.prepare_disk(vm, &disk).await.unwrap();
    let spec = VmSpec {
        id: vm,
        name: "stray".to_owned(),
        cpus: 1,
        memory_mib: 128,
        disk_limits: DiskLimits::default(),
        interfaces: Vec::new(),
    };
    site.host.define(&spec).await.unwrap();
    site.host.start(vm).await.unwrap();
    vm
}

on_both! {
    async fn a_machine_that_dies_is_seen_and_started_again(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        look(&server).await;
        let seen = state(&server, &site, &instance).await;
        assert_eq!((&seen["vm_status"], &seen["sync_source"]), (&json!("running"), &json!("local")));
        let disk = instance["volumes"][0]["size_gb"].as_i64().unwrap();
        assert_eq!(seen["disk_usage_gb"], format!("{}.00", disk / 4), "the double has written a quarter");
        site.host.crash(site.vm(&instance));
        look(&server).await;
        let seen = state(&server, &site, &instance).await;
        assert_eq!((&seen["vm_status"], &seen["uptime"], &seen["cpu_usage"]), (&json!("stopped"), &json!(0), &json!("0.00")));
        assert_eq!(tasks(&server, &instance).await[0], ("start_vps".to_owned(), "pending".to_owned()));
        // Its task is under way: nothing more is done.
        look(&server).await;
        assert_eq!(tasks(&server, &instance).await.len(), 2);
        server.run_tasks().await;
        assert_eq!(state(&server, &site, &instance).await["vm_status"], "running");
        assert_eq!(audited(&server, "instance.started_again").await, 1);
        look(&server).await;
        assert_eq!(tasks(&server, &instance).await.len(), 2);
    }

    async fn a_machine_that_dies_again_and_again_is_left_off(server: Server, |config| { config.compute.restarts_per_hour = 3; }) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        let vm = site.vm(&instance);
        for (restart, pause) in [(1, 0), (2, 10), (3, 30)] {
            site.host.crash(vm);
            look(&server).await;
            if pause > 0 {
                server.run_tasks().await;
                assert_eq!(state(&server, &site, &instance).await["vm_status"], "stopped", "it has to wait");
                server.clock.advance(Duration::from_secs(pause));
                look(&server).await;
            }
            server.run_tasks().await;
            assert_eq!(state(&server, &site, &instance).await["vm_status"], "running");
            assert_eq!(audited(&server, "instance.started_again").await, restart);
        }
        site.host.crash(vm);
        server.clock.advance(Duration::from_secs(600));
        look(&server).await;
        server.run_tasks().await;
        look(&server).await;
        assert_eq!(state(&server, &site, &instance).await["vm_status"], "stopped");
        assert_eq!(audited(&server, "instance.started_again").await, 3);
        assert_eq!(audited(&server, "instance.restarts_given_up").await, 1);
        // Its customer may try.
        server.owner().post(&format!("{}/start", site.path(&server, &instance)), &json!({})).await.expect(202);
        server.run_tasks().await;
        look(&server).await;
        assert_eq!(state(&server, &site, &instance).await["vm_status"], "running");
        site.host.crash(vm);
        look(&server).await;
        server.run_tasks().await;
        assert_eq!(state(&server, &site, &instance).await["vm_status"], "running");
    }

    async fn a_system_that_switches_itself_off_stays_off(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        site.host.power_off(site.vm(&instance));
        for _ in 0..3 {
            look(&server).await;
            server.run_tasks().await;
            server.clock.advance(Duration::from_secs(120));
        }
        assert_eq!(state(&server, &site, &instance).await["vm_status"], "stopped");
        assert_eq!(tasks(&server, &instance).await.len(), 1, "creation only");
        assert_eq!(audited(&server, "instance.switched_itself_off").await, 1);
        let path = site.path(&server, &instance);
        server.owner().post(&format!("{path}/stop"), &json!({})).await.expect(409);
        server.owner().post(&format!("{path}/start"), &json!({})).await.expect(202);
        server.run_tasks().await;
        assert_eq!(state(&server, &site, &instance).await["vm_status"], "running");
    }

    async fn a_machine_that_runs_unasked_is_stopped(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        let path = site.path(&server, &instance);
        server.owner().post(&format!("{path}/stop"), &json!({})).await.expect(202);
        server.run_tasks().await;
        look(&server).await;
        // Somebody on the host.
        site.host.start(site.vm(&instance)).await.unwrap();
        look(&server).await;
        assert_eq!(tasks(&server, &instance).await.len(), 2, "seen once only");
        look(&server).await;
        server.run_tasks().await;
        look(&server).await;
        assert_eq!(state(&server, &site, &instance).await["vm_status"], "stopped");
    }

    async fn what_a_task_is_about_is_left_to_it(server: Server) {
        let site = Site::open(&server).await;
        site.credit(&server, "100").await;
        let created = site.create(&server, json!({"name": "new"})).await.expect(201).body;
        look(&server).await;
        // Not made yet, and nobody misses it.
        assert_eq!(state(&server, &site, &created).await["vm_status"], "unknown");
        server.run_tasks().await;
        let path = site.path(&server, &created);
        server.owner().post(&format!("{path}/reboot"), &json!({})).await.expect(202);
        site.host.crash(site.vm(&created));
        look(&server).await;
        assert_eq!(state(&server, &site, &created).await["vm_status"], "stopped");
        let waiting = tasks(&server, &created).await;
        assert_eq!(waiting[0].0, "reboot_vps");
        assert_eq!(waiting.len(), 2);
        server.run_tasks().await;
        assert_eq!(state(&server, &site, &created).await["vm_status"], "running");
        // The same for what is deleted: the host still has it, and no look disturbs.
        server.owner().delete(&path).await.expect(202);
        look(&server).await;
        server.run_tasks().await;
        look(&server).await;
        assert_eq!(site.machines().await, 0);
        assert_eq!(state(&server, &site, &created).await["vm_status"], "absent");
    }

    async fn a_machine_that_is_missing_is_told_once(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        look(&server).await;
        site.host.destroy(site.vm(&instance)).await.unwrap();
        for _ in 0..3 {
            look(&server).await;
        }
        assert_eq!(state(&server, &site, &instance).await["vm_status"], "absent");
        assert_eq!(audited(&server, "instance.machine_missing").await, 1);
        assert_eq!(tasks(&server, &instance).await.len(), 1);
    }

    async fn a_machine_of_nobody_is_destroyed_when_it_has_been_seen_for_a_minute(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        let (nobodys, under_way) = (stray(&site, 1).await, stray(&site, 2).await);
        let (organization, project) = (server.facts.owner.organization_id, server.facts.owner.project_id);
        let task = NewTask {
            kind: "unknown_kind",
            organization,
            project,
            resource_type: "instance",
            resource: AnyId::from_uuid(under_way.0),
            parameters: json!({}),
            max_retries: 0,
            created_by: None,
            request: None,
        };
        server.app.store().write("test", move |tx| Ok::<_, ApiError>(tx.enqueue(&task)?)).await.unwrap();
        look(&server).await;
        server.clock.advance(Duration::from_secs(59));
        look(&server).await;
        assert_eq!(site.machines().await, 3);
        server.clock.advance(Duration::from_secs(2));
        look(&server).await;
        assert!(site.host.find(nobodys).await.unwrap().is_none());
        assert!(site.host.find(under_way).await.unwrap().is_some(), "a task is about it");
        assert!(site.host.find(site.vm(&instance)).await.unwrap().is_some());
    }

    async fn a_host_full_of_strangers_is_left_alone(server: Server) {
        let site = Site::open(&server).await;
        site.running(&server, "web").await;
        for number in 1..=3 {
            stray(&site, number).await;
        }
        for _ in 0..3 {
            look(&server).await;
            server.clock.advance(Duration::from_secs(120));
        }
        assert_eq!(site.machines().await, 4, "it is the database that is wrong");
    }

    async fn a_silent_host_changes_nothing(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        look(&server).await;
        let (before, seen) = (state(&server, &site, &instance).await, last_seen(&server).await);
        site.host.crash(site.vm(&instance));
        for fault in [Fault::Passing, Fault::Last] {
            site.host.fail("list", fault);
            server.clock.advance(Duration::from_secs(60));
            compute::reconciler::round(&server.onet().compute).await.expect_err("it is silent");
        }
        assert_eq!(state(&server, &site, &instance).await, before);
        assert_eq!(last_seen(&server).await, seen);
        assert_eq!(tasks(&server, &instance).await.len(), 1);
        look(&server).await;
        assert!(last_seen(&server).await > seen);
        assert_eq!(tasks(&server, &instance).await.len(), 2);
    }

    async fn a_state_is_read_anew_on_demand(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        let path = format!("{}/sync", site.path(&server, &instance));
        let first = server.owner().post(&path, &json!({})).await.expect(200).body;
        assert_eq!(first["vm_status"], "running");
        site.host.power_off(site.vm(&instance));
        let second = server.owner().post(&path, &json!({})).await.expect(200).body;
        assert_eq!(second["vm_status"], "stopped");
        assert!(second["last_synced_at"].as_str() > first["last_synced_at"].as_str());
        assert_eq!(server.owner().get(&site.path(&server, &instance)).await.expect(200).body["state_sync"], second);
        site.host.fail("list", Fault::Passing);
        server.owner().post(&path, &json!({})).await.expect(503);
        assert_eq!(state(&server, &site, &instance).await, second);
        // An instance without a machine has the state that it has.
        let none = server.owner().post(&format!("{}/sync", server.instance()), &json!({})).await.expect(200).body;
        assert_eq!(none["vm_status"], server.owner().get(&server.instance()).await.expect(200).body["state_sync"]["vm_status"]);
    }

    async fn many_who_ask_at_once_share_a_look(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        let path = format!("{}/sync", site.path(&server, &instance));
        site.host.delay("list", Duration::from_millis(400));
        let count = || site.host.calls().iter().filter(|(call, _)| *call == "list").count();
        let before = count();
        let asked: Vec<_> = (0..12)
            .map(|_| {
                let (owner, path) = (server.owner(), path.clone());
                tokio::spawn(async move { owner.post(&path, &json!({})).await.expect(200) })
            })
            .collect();
        for answer in asked {
            answer.await.unwrap();
        }
        let looks = count() - before;
        assert!((1..=4).contains(&looks), "{looks} looks for 12 requests");
    }

    async fn a_host_of_another_node_can_not_be_asked(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        server.app.store().write("test", |tx| {
            let (other, now) = (compute::hosts::HostId::new(), tx.now());
            let mut row: compute::hosts::HostRow = compute::hosts::rows::list(tx.conn())?.remove(0);
            (row.id, row.name, row.created) = (other, "elsewhere".to_owned(), now);
            diesel::insert_into(hosts::table).values(&row).execute(tx.conn())?;
            diesel::update(machines::table).set(machines::host_id.eq(other)).execute(tx.conn())?;
            Ok::<_, ApiError>(())
        }).await.unwrap();
        server.owner().post(&format!("{}/sync", site.path(&server, &instance)), &json!({})).await.expect(503);
        // And what is here of it is not destroyed.
        for _ in 0..3 {
            look(&server).await;
            server.clock.advance(Duration::from_secs(120));
        }
        assert_eq!(site.machines().await, 1);
    }

    async fn sizes_are_available_as_far_as_hosts_have_room(server: Server) {
        let site = Site::open(&server).await;
        let path = server.project(&format!("/compute/availability?size_id={}&location_id={}", site.size, site.location));
        let entry = async || {
            let list = server.owner().get(&path).await.expect(200).body;
            assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
            list[0].clone()
        };
        let plenty = entry().await;
        assert_eq!((&plenty["is_available"], &plenty["remaining"]), (&json!(true), &Value::Null));
        assert_eq!((&plenty["size_id"], &plenty["location_id"]), (&json!(site.size), &json!(site.location)));
        site.capacity(&server, 3, 65_536, 4000).await;
        assert_eq!(entry().await["remaining"], 3);
        site.running(&server, "web").await;
        assert_eq!(entry().await["remaining"], 2);
        site.capacity(&server, 1, 65_536, 4000).await;
        let none = entry().await;
        assert_eq!((&none["is_available"], &none["remaining"]), (&json!(false), &json!(0)));
        site.capacity(&server, 64, 65_536, 4000).await;
        let host = server.app.store().read("test", |conn| Ok::<_, ApiError>(compute::hosts::rows::list(conn)?.remove(0).id)).await.unwrap();
        server.app.store().write("test", move |tx| Ok::<_, ApiError>(compute::hosts::rows::set_maintenance(tx, host, true)?)).await.unwrap();
        assert_eq!(entry().await["is_available"], false);
        let all = server.owner().get(&server.project("/compute/availability")).await.expect(200).body;
        assert!(all.as_array().unwrap().len() > 1);
        let nowhere = server.project(&format!("/compute/availability?location_id={}", Uuid::from_u128(1)));
        assert_eq!(server.owner().get(&nowhere).await.expect(200).body, json!([]));
        server.owner().get(&server.project("/compute/availability?size_id=x")).await.expect(400);
    }
}
