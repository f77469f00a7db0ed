//! What machines use, over time, to the byte; and the month's traffic.

use std::time::Duration;

use hypervisor::Statistics;
use kernel::time::Time;
use serde_json::{Value, json};
use testkit::{Server, on_both};

use crate::{
    machines::Site,
    reconciler::{audited, look, state},
};

const DAY: i64 = 86_400;

/// Turns the clock to a few seconds after the beginning of a slot of so many seconds; returns that beginning.
fn turn_to_next(server: &Server, step: i64) -> i64 {
    let now = server.clock.now().seconds();
    let next = (now / step + 1) * step;
    server
        .clock
        .advance(Duration::from_secs(u64::try_from(next - now).unwrap() + 5));
    next
}

fn advance(server: &Server, seconds: u64) {
    server.clock.advance(Duration::from_secs(seconds));
}

/// A machine that has used so much since its power came on: seconds, milliseconds of processor, bytes in and out.
fn used(uptime: u64, cpu_ms: u64, received: u64, sent: u64) -> Statistics {
    Statistics {
        uptime: Duration::from_secs(uptime),
        cpu_time: Duration::from_millis(cpu_ms),
        memory_used_bytes: Some(uptime << 20),
        disk_read_bytes: uptime * 100,
        disk_written_bytes: uptime * 200,
        network_received_bytes: Some(received),
        network_sent_bytes: Some(sent),
        ..Statistics::default()
    }
}

async fn metrics(server: &Server, site: &Site, instance: &Value, query: &str) -> Value {
    let path = format!("{}/metrics{query}", site.path(server, instance));
    server.owner().get(&path).await.expect(200).body
}

async fn bandwidth(server: &Server, site: &Site, instance: &Value, query: &str) -> Value {
    let path = format!("{}/bandwidth{query}", site.path(server, instance));
    server.owner().get(&path).await.expect(200).body
}

/// The point of a series that begins at a moment.
fn at(series: &Value, seconds: i64) -> Value {
    let time = Time::from_micros(seconds * 1_000_000).to_string();
    let points = series["points"].as_array().unwrap();
    points
        .iter()
        .find(|point| point["time"] == time.as_str())
        .unwrap_or_else(|| panic!("no {time}"))
        .clone()
}

fn date(seconds: i64) -> String {
    Time::from_micros(seconds * 1_000_000).to_string()[..10].to_owned()
}

on_both! {
    async fn a_series_has_what_was_used_and_gaps_where_nothing_was_seen(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        let vm = site.vm(&instance);
        let begin = turn_to_next(&server, DAY);
        site.host.count(vm, used(100, 10_000, 1_000_000, 1000));
        look(&server).await;
        advance(&server, 30);
        site.host.count(vm, used(130, 25_000, 3_000_000, 2000));
        look(&server).await;
        advance(&server, 30);
        site.host.count(vm, used(160, 28_000, 3_500_000, 2000));
        look(&server).await;
        // It dies and comes back: its counters begin at nothing.
        site.host.crash(vm);
        advance(&server, 60);
        look(&server).await;
        server.run_tasks().await;
        advance(&server, 60);
        site.host.count(vm, used(10, 1000, 700, 70));
        look(&server).await;
        let hour = metrics(&server, &site, &instance, "").await;
        assert_eq!((&hour["period"], &hour["step_seconds"]), (&json!("hour"), &json!(60)));
        assert_eq!(hour["points"].as_array().unwrap().len(), 60);
        assert_eq!(at(&hour, begin), json!({
            "time": Time::from_micros(begin * 1_000_000).to_string(), "cpu_usage": "30.00", "memory_usage_mb": 115,
            "disk_read_bytes": 13_000, "disk_write_bytes": 26_000, "network_in_bytes": 3_000_000, "network_out_bytes": 2000,
        }));
        assert_eq!(at(&hour, begin + 60)["cpu_usage"], "10.00");
        assert_eq!(at(&hour, begin + 60)["network_in_bytes"], 500_000);
        for field in ["cpu_usage", "memory_usage_mb", "disk_read_bytes", "disk_write_bytes", "network_in_bytes", "network_out_bytes"] {
            assert_eq!(at(&hour, begin + 120)[field], Value::Null, "it was off");
        }
        assert_eq!(at(&hour, begin + 180)["network_in_bytes"], 700);
        let most = metrics(&server, &site, &instance, "?aggregate=max").await;
        assert_eq!(at(&most, begin)["cpu_usage"], "50.00");
        assert_eq!(at(&most, begin)["memory_usage_mb"], 130);
        // A minute later all of it is in the coarser series.
        advance(&server, 60);
        site.host.count(vm, used(70, 1000, 800, 70));
        look(&server).await;
        for (period, step, count) in [("day", 300, 288), ("week", 3600, 168), ("month", 3600, 720), ("year", DAY, 365)] {
            let series = metrics(&server, &site, &instance, &format!("?period={period}")).await;
            assert_eq!(series["step_seconds"], step, "{period}");
            assert_eq!(series["points"].as_array().unwrap().len(), count, "{period}");
            let point = at(&series, begin);
            assert_eq!(point["network_in_bytes"], 3_500_800, "{period}: {point}");
            assert_eq!(point["network_out_bytes"], 2070, "{period}");
            // (10 + 50 + 10 + 10 + 0) / 5
            assert_eq!(point["cpu_usage"], "16.00", "{period}");
        }
        let seen = state(&server, &site, &instance).await;
        assert_eq!((&seen["network_in_bytes"], &seen["cpu_usage"], &seen["uptime"]), (&json!(800), &json!("0.00"), &json!(70)));
        let path = site.path(&server, &instance);
        let faults = server.owner().get(&format!("{path}/metrics?period=never&aggregate=least")).await.expect(400).body;
        assert!(faults["period"].is_array() && faults["aggregate"].is_array(), "{faults}");
        server.stranger().get(&format!("{path}/metrics")).await.expect(404);
        server.stranger().get(&format!("{path}/bandwidth")).await.expect(404);
    }

    async fn traffic_is_counted_by_day_and_month_across_restarts(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        let vm = site.vm(&instance);
        // The first days of a month.
        while !date(server.clock.now().seconds()).ends_with("-01") {
            turn_to_next(&server, DAY);
        }
        let first = server.clock.now().seconds() / DAY * DAY;
        let month = date(first)[..7].to_owned();
        // The first look counts all since its power came on.
        site.host.count(vm, used(100, 0, 1_000_000_000, 500_000_000));
        look(&server).await;
        advance(&server, 60);
        look(&server).await;
        assert_eq!(site.get(&server, &instance).await["bandwidth_used_gb"], "1.50");
        turn_to_next(&server, DAY);
        site.host.count(vm, used(200, 0, 1_250_000_000, 500_000_000));
        look(&server).await;
        site.host.crash(vm);
        look(&server).await;
        server.run_tasks().await;
        advance(&server, 10);
        site.host.count(vm, used(5, 0, 30_000_000, 4_999_999));
        look(&server).await;
        advance(&server, 60);
        look(&server).await;
        let expected = json!({
            "month": month, "used_gb": "1.78", "in_bytes": 1_280_000_000, "out_bytes": 504_999_999,
            "days": [
                {"date": date(first), "in_bytes": 1_000_000_000, "out_bytes": 500_000_000},
                {"date": date(first + DAY), "in_bytes": 280_000_000, "out_bytes": 4_999_999},
            ],
        });
        assert_eq!(bandwidth(&server, &site, &instance, "").await, expected);
        let before = site.get(&server, &instance).await;
        assert_eq!(before["bandwidth_used_gb"], "1.78");
        // Looked at again and again, nothing is counted twice.
        for _ in 0..3 {
            advance(&server, 60);
            look(&server).await;
        }
        assert_eq!(bandwidth(&server, &site, &instance, "").await, expected);
        // Another month begins at nothing, whether the machine runs or not; the old one can be asked for.
        while !date(server.clock.now().seconds()).ends_with("-01") {
            turn_to_next(&server, DAY);
        }
        look(&server).await;
        let after = site.get(&server, &instance).await;
        assert_eq!(after["bandwidth_used_gb"], "0.00");
        assert_eq!(after["modified"], before["modified"], "no change of its customer's");
        let old = bandwidth(&server, &site, &instance, &format!("?month={month}")).await;
        assert_eq!(old["used_gb"], "1.78");
        assert!(old["days"].as_array().unwrap().len() >= 28);
        assert_eq!(bandwidth(&server, &site, &instance, "?month=2031-01").await["days"], json!([]));
        for wrong in ["2026-13", "2026", "x", "2026-1-1"] {
            server.owner().get(&format!("{}/bandwidth?month={wrong}", site.path(&server, &instance))).await.expect(400);
        }
    }

    async fn a_quota_that_is_reached_is_told_once_a_month(server: Server, |config| { config.compute.bandwidth_quota_gb = 2; }) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        let vm = site.vm(&instance);
        turn_to_next(&server, 3600);
        for (uptime, bytes, told) in [(100, 1_900_000_000, 0), (300, 2_000_000_000, 1), (600, 9_000_000_000_u64, 1)] {
            site.host.count(vm, used(uptime, 0, bytes, 0));
            look(&server).await;
            for _ in 0..2 {
                advance(&server, 60);
                look(&server).await;
            }
            assert_eq!(audited(&server, "instance.bandwidth_exceeded").await, told, "{bytes}");
        }
    }

    async fn a_commit_that_fails_is_counted_once_when_it_succeeds(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        let vm = site.vm(&instance);
        let begin = turn_to_next(&server, 3600);
        site.host.count(vm, used(100, 1000, 1000, 10));
        look(&server).await;
        site.host.count(vm, used(130, 2000, 5000, 20));
        advance(&server, 60);
        kernel::crash::fail_at("store.commit", 1);
        compute::reconciler::round(&server.onet().compute).await.expect_err("the commit failed");
        look(&server).await;
        advance(&server, 60);
        look(&server).await;
        let day = metrics(&server, &site, &instance, "?period=week").await;
        assert_eq!(at(&day, begin)["network_in_bytes"], 5000);
        assert_eq!(at(&day, begin)["network_out_bytes"], 20);
    }

    async fn old_figures_are_forgotten_and_their_sums_stay(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "web").await;
        let vm = site.vm(&instance);
        let begin = turn_to_next(&server, DAY);
        site.host.count(vm, used(100, 1000, 1000, 10));
        look(&server).await;
        // The node was away for half a day in the middle of a minute: what it had counted is not lost.
        advance(&server, 12 * 3600);
        site.host.count(vm, used(200, 1000, 3000, 30));
        look(&server).await;
        advance(&server, 60);
        look(&server).await;
        let year = metrics(&server, &site, &instance, "?period=year").await;
        assert_eq!(at(&year, begin)["network_in_bytes"], 3000);
        let week = metrics(&server, &site, &instance, "?period=week").await;
        assert_eq!(at(&week, begin)["network_in_bytes"], 1000);
        assert_eq!(at(&week, begin + 12 * 3600)["network_in_bytes"], 2000);
        advance(&server, 40 * 86_400);
        look(&server).await;
        advance(&server, 60);
        look(&server).await;
        let rows = server.app.store().read("test", |conn| {
            use compute::schema::metric_points as points;
            use diesel::{QueryDsl, RunQueryDsl};
            let found: Vec<(i64, i64)> = points::table.group_by(points::step).order(points::step)
                .select((points::step, diesel::dsl::count_star())).load(conn)?;
            Ok::<_, kernel::http::ApiError>(found)
        }).await.unwrap();
        assert_eq!(rows, [(DAY, 1)], "only the days are kept so long");
        let year = metrics(&server, &site, &instance, "?period=year").await;
        assert_eq!(at(&year, begin)["network_in_bytes"], 3000);
    }
}
