//! Backups: on demand and by schedule, their retention, and where they can be read back to.

use std::time::Duration;

use compute::backups::schedules::clock;
use hypervisor::{Hypervisor, double::Fault};
use kernel::access::Role;
use serde_json::{Value, json};
use testkit::{Server, on_both};

use super::{Life, only_for_editors, size};

impl Life {
    async fn with_backups(server: &Server) -> Self {
        let life = Self::begin(server).await;
        life.buy(server, "backup").await;
        life
    }

    fn backup_path(&self, backup: &Value) -> String {
        format!("{}/backups/{}", self.path, backup["id"].as_str().unwrap())
    }

    /// One that is there, or has failed.
    async fn backed_up(&self, server: &Server, body: &Value) -> Value {
        let asked = self.post(server, "backups", body).await.expect(201).body;
        assert_eq!(
            (&asked["status"], &asked["backup_type"]),
            (&json!("pending"), &json!("manual"))
        );
        self.site.run_with_retries(server).await;
        server
            .owner()
            .get(&self.backup_path(&asked))
            .await
            .expect(200)
            .body
    }

    async fn backups(&self, server: &Server, query: &str) -> Vec<Value> {
        let page = server
            .owner()
            .get(&format!("{}/backups{query}", self.path))
            .await
            .expect(200)
            .body;
        page["results"].as_array().unwrap().clone()
    }

    async fn schedule(&self, server: &Server, body: &Value) -> Value {
        self.post(server, "backup-schedules", body).await.expect(201).body
    }

    async fn shown_schedule(&self, server: &Server, schedule: &Value) -> Value {
        let path = format!(
            "{}/backup-schedules/{}",
            self.path,
            schedule["id"].as_str().unwrap()
        );
        server.owner().get(&path).await.expect(200).body
    }

    async fn copied(&self) -> usize {
        self.site.host.copies().await.unwrap().len()
    }
}

/// Lets time pass, and what is due happen.
async fn pass(server: &Server, span: Duration) {
    server.clock.advance(span);
    clock::round(&server.onet().compute).await.unwrap();
    server.run_tasks().await;
}

const DAY: Duration = Duration::from_hours(24);

on_both! {
    async fn a_backup_is_made_kept_and_read_back(server: Server) {
        let life = Life::with_backups(&server).await;
        let backup = life.backed_up(&server, &json!({"name": "first", "description": "by hand"})).await;
        assert_eq!((&backup["status"], &backup["name"], &backup["description"]), (&json!("available"), &json!("first"), &json!("by hand")));
        assert_eq!((&backup["size_gb"], &backup["schedule_id"], &backup["expires_at"]), (&json!("2.50"), &Value::Null, &Value::Null));
        assert!(backup["started_at"].is_string() && backup["completed_at"].is_string());
        let restore = format!("backups/{}/restore", backup["id"].as_str().unwrap());
        life.post(&server, &restore, &json!({})).await.expect(409);
        life.done(&server, "stop", &json!({})).await;
        let task = life.done(&server, &restore, &json!({"start_after_restore": true})).await;
        assert_eq!((&task["task_type"], &task["status"]), (&json!("restore_backup"), &json!("completed")));
        assert_eq!(life.get(&server).await["state_sync"]["vm_status"], "running");
        let path = life.backup_path(&backup);
        let kept = server.owner().patch(&path, &json!({"is_protected": true, "name": "kept"})).await.expect(200).body;
        assert_eq!((&kept["is_protected"], &kept["name"], &kept["status"]), (&json!(true), &json!("kept"), &json!("available")));
        let refused = server.owner().delete(&path).await.expect(409);
        assert!(refused.text.contains("protected"), "{}", refused.text);
        server.owner().patch(&path, &json!({"is_protected": false})).await.expect(200);
        server.owner().delete(&path).await.expect(202);
        server.run_tasks().await;
        server.owner().get(&path).await.expect(404);
        assert_eq!(life.copied().await, 0);
    }

    async fn a_backup_outlives_its_instance_and_fits_another(server: Server) {
        let life = Life::with_backups(&server).await;
        let backup = life.backed_up(&server, &json!({"name": "last", "is_protected": true})).await;
        let restore = format!("backups/{}/restore", backup["id"].as_str().unwrap());
        let other = life.site.running(&server, "heir").await;
        let to = json!({"target_instance_id": other["id"]});
        let running = life.post(&server, &restore, &to).await.expect(409);
        assert!(running.text.contains("must be stopped"), "{}", running.text);
        for id in [kernel::id::AnyId::new().to_string(), server.facts.stranger.instance_id.to_string()] {
            let answer = life.post(&server, &restore, &json!({"target_instance_id": id})).await.expect(400);
            assert!(answer.body["target_instance_id"].is_array(), "{}", answer.text);
        }
        server.owner().delete(&life.path).await.expect(202);
        server.run_tasks().await;
        assert_eq!(life.get(&server).await["status"], "terminated");
        server.owner().post(&format!("{}/stop", life.site.path(&server, &other)), &json!({})).await.expect(202);
        server.run_tasks().await;
        let task = life.post(&server, &restore, &to).await.expect(202).body;
        assert_eq!(task["instance_id"], other["id"]);
        server.run_tasks().await;
        assert_eq!(life.task(&server, &task).await["status"], "completed");
        let kept = server.owner().get(&life.backup_path(&backup)).await.expect(200).body;
        assert!(kept["expires_at"].is_string());
        // Protection ends with the instance, and then the backup's time is over.
        let days = u64::from(server.app.config().compute.backup_days_after_end);
        pass(&server, DAY * u32::try_from(days - 1).unwrap()).await;
        assert_eq!(life.copied().await, 1);
        pass(&server, DAY * 2).await;
        assert_eq!(life.copied().await, 0);
        server.owner().get(&life.backup_path(&backup)).await.expect(404);
    }

    async fn a_schedule_has_its_turns_and_keeps_what_it_was_told(server: Server) {
        let life = Life::with_backups(&server).await;
        let body = json!({"name": "nightly", "frequency": "daily", "run_at": "03:00", "timezone": "Europe/Paris", "retention_count": 2});
        let schedule = life.schedule(&server, &body).await;
        assert_eq!((&schedule["run_at"], &schedule["last_status"], &schedule["is_active"]), (&json!("03:00:00"), &json!("never"), &json!(true)));
        assert_eq!((&schedule["retention_days"], &schedule["last_run_at"]), (&Value::Null, &Value::Null));
        assert!(schedule["next_run_at"].is_string());
        clock::round(&server.onet().compute).await.unwrap();
        assert_eq!(life.backups(&server, "").await.len(), 0, "not yet");
        let mut protected = None;
        for turn in 1..=4 {
            pass(&server, DAY).await;
            clock::round(&server.onet().compute).await.unwrap();
            server.run_tasks().await;
            let made = life.backups(&server, "?backup_type=scheduled").await;
            assert_eq!((&made[0]["status"], &made[0]["schedule_id"]), (&json!("available"), &schedule["id"]), "turn {turn}");
            let shown = life.shown_schedule(&server, &schedule).await;
            assert_eq!((&shown["last_status"], &shown["last_backup_id"]), (&json!("success"), &made[0]["id"]));
            assert!(shown["next_run_at"].as_str() > shown["last_run_at"].as_str());
            if turn == 1 {
                server.owner().patch(&life.backup_path(&made[0]), &json!({"is_protected": true})).await.expect(200);
                protected = Some(made[0]["id"].clone());
            }
        }
        // The protected one is neither counted nor taken.
        let left = life.backups(&server, "").await;
        assert_eq!(left.len(), 3);
        assert_eq!(left[2]["id"], protected.unwrap());
        assert_eq!(life.copied().await, 3);
        let days = json!({"retention_days": 1, "retention_count": 10});
        let path = format!("{}/backup-schedules/{}", life.path, schedule["id"].as_str().unwrap());
        server.owner().patch(&path, &days).await.expect(200);
        let now = life.post(&server, &format!("backup-schedules/{}/run", schedule["id"].as_str().unwrap()), &json!({})).await.expect(201).body;
        assert_eq!((&now["backup_type"], &now["schedule_id"]), (&json!("scheduled"), &schedule["id"]));
        assert!(now["expires_at"].is_string());
        server.run_tasks().await;
        server.owner().patch(&path, &json!({"is_active": false})).await.expect(200);
        assert_eq!(life.shown_schedule(&server, &schedule).await["next_run_at"], Value::Null);
        pass(&server, DAY * 2).await;
        assert_eq!(life.backups(&server, "").await.len(), 3, "the one of a day is gone, and no other came");
        server.owner().delete(&path).await.expect(204);
        server.owner().get(&path).await.expect(404);
        assert_eq!(life.backups(&server, "").await.len(), 3);
    }

    async fn what_was_missed_becomes_one_turn_and_what_cannot_be_is_skipped(server: Server) {
        let life = Life::with_backups(&server).await;
        let schedule = life.schedule(&server, &json!({"name": "weekly", "frequency": "weekly", "weekday": 0, "run_at": "23:00:00"})).await;
        pass(&server, DAY * 25).await;
        clock::round(&server.onet().compute).await.unwrap();
        server.run_tasks().await;
        assert_eq!(life.backups(&server, "").await.len(), 1);
        life.site.host.fail("save_copy", Fault::Last);
        pass(&server, DAY * 7).await;
        assert_eq!(life.shown_schedule(&server, &schedule).await["last_status"], "failed");
        assert_eq!(life.backups(&server, "?status=error").await.len(), 1);
        let notices = server.owner().get("/v1/auth/notifications").await;
        assert!(notices.status == 404 || notices.text.contains("backup"), "{}", notices.text);
        // Without its add-on, nothing is begun.
        let addon = server.owner().get(&format!("{}/addons", life.path)).await.expect(200).body;
        let addon = addon.as_array().unwrap().iter().find(|addon| addon["addon"]["slug"] == "backup").unwrap()["addon"]["id"].clone();
        life.post(&server, "addons/deactivate", &json!({"addon_id": addon, "immediate": true})).await.expect(200);
        pass(&server, DAY * 7).await;
        let skipped = life.shown_schedule(&server, &schedule).await;
        assert_eq!(skipped["last_status"], "skipped");
        assert!(skipped["next_run_at"].is_string());
        assert_eq!(life.backups(&server, "").await.len(), 2);
    }

    async fn schedules_that_make_no_sense_are_refused(server: Server) {
        let life = Life::with_backups(&server).await;
        let good = json!({"name": "good", "frequency": "daily", "run_at": "03:00:00"});
        for (fault, field) in [
            (json!({"run_at": "25:00:00"}), "run_at"),
            (json!({"run_at": "three"}), "run_at"),
            (json!({"frequency": "hourly"}), "frequency"),
            (json!({"frequency": "weekly"}), "weekday"),
            (json!({"frequency": "weekly", "weekday": 7}), "weekday"),
            (json!({"frequency": "monthly"}), "day_of_month"),
            (json!({"frequency": "monthly", "day_of_month": 31}), "day_of_month"),
            (json!({"weekday": 1}), "weekday"),
            (json!({"timezone": "Mars/Olympus"}), "timezone"),
            (json!({"retention_count": 0}), "retention_count"),
            (json!({"retention_days": 0}), "retention_days"),
            (json!({"name": ""}), "name"),
        ] {
            let mut body = good.clone();
            for (name, value) in fault.as_object().unwrap() {
                body[name] = value.clone();
            }
            let answer = life.post(&server, "backup-schedules", &body).await.expect(400);
            assert!(answer.body[field].is_array(), "{fault}: {}", answer.text);
        }
        for field in ["name", "frequency", "run_at"] {
            let mut body = good.clone();
            body.as_object_mut().unwrap().remove(field);
            let answer = life.post(&server, "backup-schedules", &body).await.expect(400);
            assert!(answer.body[field].is_array(), "{}", answer.text);
        }
        let schedule = life.schedule(&server, &json!({"name": "a", "frequency": "weekly", "weekday": 3, "run_at": "03:00:00", "timezone": "Asia/Tokyo", "retention_days": 9})).await;
        let path = format!("{}/backup-schedules/{}", life.path, schedule["id"].as_str().unwrap());
        let answer = server.owner().patch(&path, &json!({"frequency": "daily"})).await.expect(400);
        assert!(answer.body["weekday"].is_array(), "{}", answer.text);
        let daily = server.owner().patch(&path, &json!({"frequency": "daily", "weekday": null})).await.expect(200).body;
        assert_eq!((&daily["frequency"], &daily["weekday"], &daily["timezone"]), (&json!("daily"), &Value::Null, &json!("Asia/Tokyo")));
        // What is left out of a replacement is as if nothing had been said.
        let replaced = server.owner().put(&path, &good).await.expect(200).body;
        assert_eq!((&replaced["name"], &replaced["timezone"], &replaced["retention_count"], &replaced["retention_days"]), (&json!("good"), &json!("UTC"), &json!(7), &Value::Null));
        let list = server.owner().get(&format!("{}/backup-schedules", life.path)).await.expect(200).body;
        assert_eq!((&list["count"], &list["results"][0]), (&json!(1), &replaced));
        server.stranger().get(&path).await.expect(404);
        only_for_editors(&server, &format!("{}/backup-schedules", life.path), &good).await;
    }

    async fn what_is_refused_makes_no_backup(server: Server) {
        let life = Life::begin(&server).await;
        for (action, body) in [("backups", json!({"name": "early"})), ("backup-schedules", json!({"name": "early", "frequency": "daily", "run_at": "03:00:00"}))] {
            let unpaid = life.post(&server, action, &body).await.expect(402);
            assert!(unpaid.text.contains("activate it first"), "{}", unpaid.text);
        }
        life.buy(&server, "backup").await;
        life.post(&server, "backups", &json!({})).await.expect(400);
        life.post(&server, "backups", &json!({"name": "one"})).await.expect(201);
        life.post(&server, "backups", &json!({"name": "two"})).await.expect(409);
        server.run_tasks().await;
        let list = server.owner().get(&server.project("/compute/backups?backup_type=manual&status=available")).await.expect(200).body;
        assert_eq!(list["count"], 1);
        let path = life.backup_path(&list["results"][0]);
        server.stranger().get(&path).await.expect(404);
        let (viewer, _) = server.member(Role::Viewer).await;
        viewer.get(&path).await.expect(200);
        viewer.delete(&path).await.expect(403);
        only_for_editors(&server, &format!("{}/backups", life.path), &json!({"name": "mine"})).await;
        // A backup of a larger disk does not fit.
        let medium = size(&server, "vps-m").await;
        life.post(&server, "resize", &json!({"size_id": medium})).await.expect(202);
        server.run_tasks().await;
        let large = life.backed_up(&server, &json!({"name": "large"})).await;
        let small = life.site.running(&server, "small").await;
        let body = json!({"target_instance_id": small["id"]});
        let refused = life.post(&server, &format!("backups/{}/restore", large["id"].as_str().unwrap()), &body).await.expect(400);
        assert!(refused.body["target_instance_id"][0].as_str().unwrap().contains("40 GB"), "{}", refused.text);
    }
}
