//! Other sizes: money, capacity, and everything back when it fails.

use hypervisor::double::Fault;
use kernel::{access::Role, money::Amount};
use serde_json::{Value, json};
use testkit::{Server, on_both};

use super::{Life, amount, books_are_right, card, only_for_editors, size, volume};

/// What a price is worth for the rest of the instance's period, as billing rounds it.
fn rest(server: &Server, instance: &Value, price: &str) -> Amount {
    let at = |field: &str| {
        kernel::time::Time::parse(instance[field].as_str().unwrap())
            .unwrap()
            .micros()
    };
    let (start, end) = (at("billing_start_date"), at("next_billing_date"));
    let left = (end - server.clock.now().micros()).clamp(0, end - start);
    amount(price).part(left, end - start).to_cents()
}

on_both! {
    async fn a_dearer_size_is_paid_for_the_rest_of_the_period(server: Server) {
        let life = Life::begin(&server).await;
        server.clock.advance(std::time::Duration::from_hours(24 * 10));
        let before = life.site.balance(&server).await;
        let medium = size(&server, "vps-m").await;
        let options = server.owner().get(&format!("{}/resize", life.path)).await.expect(200).body;
        let option = options.as_array().unwrap().iter().find(|option| option["size"]["id"] == medium.as_str()).unwrap().clone();
        let due = rest(&server, &life.instance, "7.49") - rest(&server, &life.instance, "3.99");
        assert_eq!(option["price_difference"], "3.50");
        assert_eq!(option["amount_due_now"], due.fixed::<2>().to_string());
        assert_eq!((&option["requires_restart"], &option["is_available"]), (&json!(true), &json!(true)));
        let answer = life.post(&server, "resize", &json!({"size_id": medium})).await.expect(202).body;
        assert_eq!(answer["order"]["total"], due.fixed::<2>().to_string());
        assert_eq!((&answer["order"]["amount_due"], &answer["order"]["credit_applied"]), (&json!("0.00"), &answer["order"]["total"]));
        assert_eq!((&answer["task"]["task_type"], &answer["task"]["status"]), (&json!("resize_vps"), &json!("pending")));
        assert_eq!(life.site.balance(&server).await, before - due);
        // Taken at once; what is shown changes with the machine.
        assert_eq!(life.site.taken(&server).await, (2, 4096, 40));
        assert_eq!(life.get(&server).await["size"]["slug"], "vps-s");
        life.post(&server, "resize", &json!({"size_id": medium})).await.expect(409);
        server.run_tasks().await;
        let after = life.get(&server).await;
        assert_eq!(after["size"]["slug"], "vps-m");
        assert_eq!(after["volumes"][0]["size_gb"], 40);
        assert_eq!(after["state_sync"]["vm_status"], "running");
        let spec = life.site.host.spec(life.vm()).unwrap();
        assert_eq!((spec.cpus, spec.memory_mib), (2, 4096));
        assert_eq!(life.site.host.disk_bytes(life.vm()), Some(40 << 30));
        assert_eq!(life.site.taken(&server).await, (2, 4096, 40));
        assert_eq!(life.site.balance(&server).await, before - due, "paid once");
        // The next period costs the new price, once.
        life.site.days(&server, 25).await;
        assert_eq!(life.site.balance(&server).await, before - due - amount("7.49"));
        assert_eq!(life.get(&server).await["status"], "active");
        books_are_right(&server).await;
    }

    async fn a_cheaper_size_gives_credit_when_it_is_there(server: Server) {
        let life = Life::begin(&server).await;
        let medium = size(&server, "vps-m").await;
        life.post(&server, "resize", &json!({"size_id": medium})).await.expect(202);
        server.run_tasks().await;
        let before = life.site.balance(&server).await;
        let small = &life.site.size;
        let large = volume(&server, small, 40).await;
        // The default volume of the small size is too small for the disk: the one that is not is taken.
        let answer = life.post(&server, "resize", &json!({"size_id": small})).await.expect(202).body;
        assert_eq!(answer["order"], Value::Null);
        assert_eq!(life.site.balance(&server).await, before, "not before it is there");
        assert_eq!(life.site.taken(&server).await, (2, 4096, 40));
        server.run_tasks().await;
        assert_eq!(life.get(&server).await["size"]["slug"], "vps-s");
        assert_eq!(life.get(&server).await["volumes"][0]["size_gb"], 40);
        assert_eq!(life.site.taken(&server).await, (1, 2048, 40));
        let back = rest(&server, &life.instance, "7.49") - rest(&server, &life.instance, "3.99");
        assert_eq!(life.site.balance(&server).await, before + back);
        let same = life.post(&server, "resize", &json!({"size_id": small, "size_volume_id": large})).await.expect(400);
        assert!(same.body["size_id"].is_array(), "{}", same.text);
        books_are_right(&server).await;
    }

    async fn a_larger_disk_alone_costs_nothing_and_never_shrinks(server: Server) {
        let life = Life::begin(&server).await;
        let before = life.site.balance(&server).await;
        let small = life.site.size.clone();
        let (twenty, forty) = (volume(&server, &small, 20).await, volume(&server, &small, 40).await);
        let answer = life.post(&server, "resize", &json!({"size_id": small, "size_volume_id": forty})).await.expect(202).body;
        assert_eq!(answer["order"], Value::Null);
        server.run_tasks().await;
        assert_eq!(life.site.host.disk_bytes(life.vm()), Some(40 << 30));
        assert_eq!(life.get(&server).await["volumes"][0]["size_gb"], 40);
        assert_eq!(life.site.taken(&server).await, (1, 2048, 40));
        assert_eq!(life.site.balance(&server).await, before);
        let answer = life.post(&server, "resize", &json!({"size_id": small, "size_volume_id": twenty})).await.expect(400);
        assert!(answer.body["size_volume_id"][0].as_str().unwrap().contains("only grow"), "{}", answer.text);
    }

    async fn what_is_wrong_is_named(server: Server) {
        let life = Life::begin(&server).await;
        let unknown = kernel::id::AnyId::new().to_string();
        let medium = size(&server, "vps-m").await;
        for (body, field) in [
            (json!({}), "size_id"),
            (json!({"size_id": unknown}), "size_id"),
            (json!({"size_id": life.site.size}), "size_id"),
            (json!({"size_id": medium, "size_volume_id": unknown}), "size_volume_id"),
            (json!({"size_id": medium, "billing_cycle": "triennially"}), "billing_cycle"),
            (json!({"size_id": medium, "billing_cycle": "free"}), "billing_cycle"),
        ] {
            let answer = life.post(&server, "resize", &body).await.expect(400);
            assert!(answer.body[field].is_array(), "{field}: {}", answer.text);
        }
        only_for_editors(&server, &format!("{}/resize", life.path), &json!({"size_id": medium})).await;
        server.owner().post(&format!("{}/resize", server.instance()), &json!({"size_id": medium})).await.expect(409);
        assert_eq!(server.owner().get(&format!("{}/resize", server.instance())).await.expect(200).body, json!([]));
        assert_eq!(life.site.taken(&server).await, (1, 2048, 20));
    }

    async fn a_host_without_room_refuses(server: Server) {
        let life = Life::begin(&server).await;
        life.site.capacity(&server, 64, 4095, 1000).await;
        let medium = size(&server, "vps-m").await;
        let before = life.picture(&server).await;
        life.post(&server, "resize", &json!({"size_id": medium})).await.expect(409);
        assert_eq!(life.picture(&server).await, before);
        let options = server.owner().get(&format!("{}/resize", life.path)).await.expect(200).body;
        assert!(options.as_array().unwrap().iter().all(|option| option["is_available"] == false), "{options}");
    }

    async fn too_little_credit_changes_nothing(server: Server) {
        let life = Life::begin(&server).await;
        life.site.spend_all(&server).await;
        let medium = size(&server, "vps-m").await;
        let before = life.picture(&server).await;
        let answer = life.post(&server, "resize", &json!({"size_id": medium})).await.expect(402);
        assert!(answer.body["detail"].as_str().unwrap().contains("3.50 EUR"), "{}", answer.text);
        let (editor, _) = server.member(Role::Editor).await;
        editor.post(&format!("{}/resize", life.path), &json!({"size_id": medium})).await.expect(403);
        server.run_tasks().await;
        assert_eq!(life.picture(&server).await, before);
        life.site.credit(&server, "10").await;
        editor.post(&format!("{}/resize", life.path), &json!({"size_id": medium})).await.expect(202);
        server.run_tasks().await;
        assert_eq!(life.get(&server).await["size"]["slug"], "vps-m");
        books_are_right(&server).await;
    }

    async fn a_card_is_charged_before_anything_happens(server: Server, |config| { config.billing.payment_driver = "sandbox".to_owned(); }) {
        let life = Life::begin(&server).await;
        life.site.spend_all(&server).await;
        card(&server, "tok_fine").await;
        let medium = size(&server, "vps-m").await;
        let answer = life.post(&server, "resize", &json!({"size_id": medium})).await.expect(202).body;
        assert_eq!((&answer["order"]["amount_due"], &answer["task"]), (&json!("3.50"), &Value::Null));
        assert_eq!(life.site.taken(&server).await, (2, 4096, 40));
        server.run_tasks().await;
        assert_eq!(life.get(&server).await["size"]["slug"], "vps-m");
        assert_eq!(life.site.balance(&server).await, Amount::ZERO);
        books_are_right(&server).await;
    }

    async fn a_card_that_is_declined_leaves_an_order_that_can_be_cancelled(server: Server, |config| { config.billing.payment_driver = "sandbox".to_owned(); }) {
        let life = Life::begin(&server).await;
        life.site.spend_all(&server).await;
        card(&server, "tok_declined").await;
        let medium = size(&server, "vps-m").await;
        let answer = life.post(&server, "resize", &json!({"size_id": medium})).await.expect(202).body;
        server.run_tasks().await;
        assert_eq!(life.get(&server).await["size"]["slug"], "vps-s");
        let orders = format!("/v1/organizations/{}/billing/orders", server.facts.owner.organization_id);
        let path = format!("{orders}/{}/cancel", answer["order"]["order_id"].as_str().unwrap());
        server.owner().post(&path, &json!({})).await.expect(200);
        assert_eq!(life.site.taken(&server).await, (1, 2048, 20));
        // The way is free for another try.
        life.site.credit(&server, "10").await;
        life.post(&server, "resize", &json!({"size_id": medium})).await.expect(202);
        server.run_tasks().await;
        assert_eq!(life.get(&server).await["size"]["slug"], "vps-m");
        books_are_right(&server).await;
    }

    async fn an_unpaid_change_ends_with_its_instance(server: Server, |config| { config.billing.payment_driver = "sandbox".to_owned(); }) {
        let life = Life::begin(&server).await;
        life.site.spend_all(&server).await;
        card(&server, "tok_declined").await;
        let medium = size(&server, "vps-m").await;
        life.post(&server, "resize", &json!({"size_id": medium})).await.expect(202);
        server.run_tasks().await;
        server.owner().delete(&life.path).await.expect(202);
        server.run_tasks().await;
        assert_eq!(life.site.taken(&server).await, (0, 0, 0));
        assert_eq!(life.site.machines().await, 0);
        books_are_right(&server).await;
    }

    async fn whatever_fails_gives_everything_back(server: Server) {
        let life = Life::begin(&server).await;
        let medium = size(&server, "vps-m").await;
        for call in ["shutdown", "resize", "define"] {
            let before = life.picture(&server).await;
            life.site.host.fail(call, Fault::Last);
            let answer = life.post(&server, "resize", &json!({"size_id": medium})).await.expect(202).body;
            life.site.run_with_retries(&server).await;
            let task = life.task(&server, &answer["task"]).await;
            assert_eq!(task["status"], "failed", "{call}: {task}");
            let after = life.picture(&server).await;
            if call == "define" {
                // The disk had grown, and disks don't shrink: it stays, paid by nobody, and counted.
                assert_eq!((after.hardware.0, after.hardware.1), (before.hardware.0, before.hardware.1));
                assert_eq!(after.hardware.2, 40 << 30);
                assert_eq!(after.taken, (1, 2048, 40));
                assert_eq!(life.get(&server).await["volumes"][0]["size_gb"], 40);
                assert_eq!((after.balance, &after.seed), (before.balance, &before.seed));
            } else {
                assert_eq!(after, before, "{call}");
            }
            assert_eq!(life.get(&server).await["size"]["slug"], "vps-s");
            assert!(life.site.host.calls().iter().any(|(name, _)| *name == call));
            books_are_right(&server).await;
        }
        // It ran before, and does again.
        let after = life.post(&server, "start", &json!({})).await;
        assert_eq!(after.status, 409, "{}", after.text);
    }

    async fn a_machine_that_does_not_start_again_keeps_its_size(server: Server) {
        let life = Life::begin(&server).await;
        let medium = size(&server, "vps-m").await;
        let balance = life.site.balance(&server).await;
        life.site.host.fail("start", Fault::Last);
        let answer = life.post(&server, "resize", &json!({"size_id": medium})).await.expect(202).body;
        life.site.run_with_retries(&server).await;
        assert_eq!(life.task(&server, &answer["task"]).await["status"], "failed");
        assert_eq!(life.site.balance(&server).await, balance);
        let spec = life.site.host.spec(life.vm()).unwrap();
        assert_eq!((spec.cpus, spec.memory_mib), (1, 2048));
        let seen = hypervisor::Hypervisor::find(&life.site.host, life.vm()).await.unwrap().unwrap();
        assert_eq!(seen.state.as_str(), "running");
        books_are_right(&server).await;
    }

    async fn lost_answers_are_made_good(server: Server) {
        let life = Life::begin(&server).await;
        let medium = size(&server, "vps-m").await;
        for call in ["shutdown", "resize", "define", "start", "find"] {
            life.site.host.fail(call, Fault::AnswerLost);
        }
        let before = life.site.balance(&server).await;
        let answer = life.post(&server, "resize", &json!({"size_id": medium})).await.expect(202).body;
        life.site.run_with_retries(&server).await;
        assert_eq!(life.task(&server, &answer["task"]).await["status"], "completed");
        assert_eq!(life.get(&server).await["size"]["slug"], "vps-m");
        assert_eq!(life.site.taken(&server).await, (2, 4096, 40));
        assert_eq!(life.site.balance(&server).await, before - amount("3.50"));
        books_are_right(&server).await;
    }

    async fn another_cycle_comes_with_the_next_period(server: Server) {
        let life = Life::begin(&server).await;
        let medium = size(&server, "vps-m").await;
        let answer = life.post(&server, "resize", &json!({"size_id": medium, "billing_cycle": "annually"})).await.expect(202).body;
        assert_eq!(answer["order"]["total"], "3.50");
        server.run_tasks().await;
        let after = life.get(&server).await;
        assert_eq!((&after["billing_cycle"], &after["size"]["slug"]), (&json!("annually"), &json!("vps-m")));
        life.site.credit(&server, "200").await;
        let before = life.site.balance(&server).await;
        life.site.days(&server, 32).await;
        let annual = after["size"]["pricing_options"].as_array().unwrap().iter().find(|price| price["billing_cycle"] == "annually").unwrap();
        let annual = amount(annual["price"].as_str().unwrap()).to_cents();
        assert_eq!(life.site.balance(&server).await, before - annual);
        books_are_right(&server).await;
    }

    async fn a_pending_resize_is_cancelled_with_its_money(server: Server) {
        let life = Life::begin(&server).await;
        let before = life.picture(&server).await;
        let medium = size(&server, "vps-m").await;
        let answer = life.post(&server, "resize", &json!({"size_id": medium})).await.expect(202).body;
        let task = answer["task"]["id"].as_str().unwrap();
        let path = server.project(&format!("/compute/tasks/{task}/cancel"));
        let cancelled = server.owner().post(&path, &json!({})).await.expect(200).body;
        assert_eq!(cancelled["status"], "cancelled");
        server.run_tasks().await;
        assert_eq!(life.picture(&server).await, before);
        books_are_right(&server).await;
        let retry = server.project(&format!("/compute/tasks/{task}/retry"));
        server.owner().post(&retry, &json!({})).await.expect(409);
    }
}
