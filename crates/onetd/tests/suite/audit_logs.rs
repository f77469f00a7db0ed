//! The audit log's operations.

use kernel::{
    access::{Organization, Role},
    audit::{AuditStatus, Changes, Event, Origin, sealer},
    id::Id,
    store::Tx,
};
use serde_json::{Value, json};
use testkit::{Server, on_both};

fn path(server: &Server, rest: &str) -> String {
    format!(
        "/v1/organizations/{}/audit-logs{rest}",
        server.facts.owner.organization_id
    )
}

/// Records of the demo's organization, one second apart, and of another one beside them.
async fn fill(server: &Server, count: usize) {
    let organization = server.facts.owner.organization_id;
    for number in 0..count {
        server.clock.advance(std::time::Duration::from_secs(1));
        let write = move |tx: &mut Tx<'_>| {
            let mut changes = Changes::default();
            changes.note("name", &"old, \"quoted\"".to_owned(), &format!("new {number}"));
            let mut event = Event {
                action: if number.is_multiple_of(2) {
                    "test.even"
                } else {
                    "test.odd"
                },
                resource_type: "test",
                resource_id: Id::from_uuid(uuid::Uuid::from_u128(7)),
                resource_name: if number == 3 {
                    "=cmd|' /C calc'!A0".to_owned()
                } else {
                    format!("Nümber {number}")
                },
                description: format!("line one\nline two, {number}"),
                changes,
                status: if number.is_multiple_of(5) {
                    AuditStatus::Failure
                } else {
                    AuditStatus::Success
                },
            };
            tx.audit(&Origin::system("tester"), Some(organization), None, &event)?;
            event.action = "test.elsewhere";
            tx.audit(
                &Origin::system("tester"),
                Some(Id::<Organization>::new()),
                None,
                &event,
            )
        };
        server.app.store().write("test", write).await.unwrap();
    }
}

/// The fields of a CSV file (RFC 4180).
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut lines, mut line, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.push(chars.next().unwrap()),
            '"' => quoted = !quoted,
            ',' if !quoted => line.push(std::mem::take(&mut field)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {
                chars.next();
                line.push(std::mem::take(&mut field));
                lines.push(std::mem::take(&mut line));
            }
            c => field.push(c),
        }
    }
    assert!(
        field.is_empty() && line.is_empty() && !quoted,
        "the file ends in the middle of a line"
    );
    lines
}

on_both! {
    async fn lists_are_filtered(server: Server) {
        fill(&server, 30).await;
        let owner = server.owner();
        let list = async |rest: &str| owner.get(&path(&server, rest)).await.expect(200).body;
        let count = async |rest: &str| list(rest).await["count"].as_i64().unwrap();
        assert_eq!(count("?resource_type=test").await, 30);
        assert_eq!(count("?action=test.even").await, 15);
        assert_eq!(count("?action=test.elsewhere").await, 0);
        assert_eq!(count("?action=test.even&status=failure").await, 3);
        assert_eq!(count("?search=N%C3%BCmber+1").await, 11);
        assert_eq!(count("?search=NUMBER").await, 0);
        assert_eq!(count("?resource_id=00000000-0000-0000-0000-000000000007").await, 30);
        let newest = list("?resource_type=test&page_size=3").await;
        let names: Vec<&str> = newest["results"].as_array().unwrap().iter()
            .map(|record| record["resource_name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Nümber 29", "Nümber 28", "Nümber 27"]);
        let at = newest["results"][1]["created"].as_str().unwrap().to_owned();
        assert_eq!(count(&format!("?created_after={at}")).await, 2);
        assert_eq!(count(&format!("?resource_type=test&created_before={at}")).await, 29);
        // From an address, by a caller, in a project.
        owner.patch(&server.instance(), &json!({"name": "renamed"})).await.expect(200);
        let renamed = list("?action=instance.updated").await["results"][0].clone();
        assert_eq!(renamed["ip_address"], "127.0.0.1");
        assert_eq!(count("?ip_address=127.0.0.1").await, 1);
        assert_eq!(count("?ip_address=10.9.8.7").await, 0);
        assert_eq!(count(&format!("?actor_id={}", renamed["actor"]["id"].as_str().unwrap())).await, 1);
        assert_eq!(count(&format!("?project_id={}&action=instance.updated", server.facts.owner.project_id)).await, 1);
        let one = owner.get(&path(&server, &format!("/{}", renamed["id"].as_str().unwrap()))).await.expect(200);
        assert_eq!(one.body, renamed);
        let faults = owner.get(&path(&server, "?status=maybe&actor_id=x&created_after=then")).await.expect(400).body;
        assert_eq!(faults.as_object().unwrap().len(), 3, "{faults}");
    }

    async fn pages_agree_whether_chained_or_not(server: Server) {
        fill(&server, 25).await;
        let owner = server.owner();
        let walk = async || {
            let (mut seen, mut page, mut counts) = (Vec::new(), 1, Vec::new());
            loop {
                let answer = owner.get(&path(&server, &format!("?page_size=7&page={page}"))).await.expect(200).body;
                counts.push(answer["count"].as_i64().unwrap());
                seen.extend(answer["results"].as_array().unwrap().iter().map(|record| record["id"].clone()));
                if answer["next"].is_null() {
                    return (seen, counts);
                }
                page += 1;
            }
        };
        let (before, counts) = walk().await;
        assert!(counts.iter().all(|count| *count == counts[0]) && counts[0] >= 25, "{counts:?}");
        sealer::seal_all(server.app.store(), server.app.store().seal_key().unwrap()).await.unwrap();
        let (after, counts) = walk().await;
        assert_eq!(before, after);
        assert_eq!(counts[0], i64::try_from(after.len()).unwrap());
        let oldest = owner.get(&path(&server, "?page_size=7&ordering=created")).await.expect(200).body;
        assert_eq!(oldest["results"][0]["id"], after[after.len() - 1]);
        let last = owner.get(&path(&server, "?page_size=7&page=last&ordering=created")).await.expect(200).body;
        assert_eq!(last["results"].as_array().unwrap().last().unwrap()["id"], after[0]);
        owner.get(&path(&server, "?page_size=7&page=99")).await.expect(404);
    }

    async fn exports_hold_everything_once(server: Server) {
        fill(&server, 1203).await;
        let owner = server.owner();
        let answer = owner.get(&path(&server, "/export?resource_type=test")).await.expect(200);
        assert!(answer.header("content-type").starts_with("text/csv"));
        assert_eq!(answer.header("content-disposition"), "attachment; filename=\"audit-logs.csv\"");
        let lines = csv(&answer.text);
        assert_eq!(lines.len(), 1204);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()));
        let column = |name: &str| lines[0].iter().position(|column| column == name).unwrap();
        let names: Vec<&str> = lines[1..].iter().map(|line| line[column("resource_name")].as_str()).collect();
        assert_eq!(names[0], "Nümber 1202");
        assert_eq!(names[1199], "'=cmd|' /C calc'!A0");
        assert_eq!(names[1202], "Nümber 0");
        assert_eq!(lines[1][column("description")], "line one\nline two, 1202");
        let changes: Value = serde_json::from_str(&lines[1][column("changes")]).unwrap();
        assert_eq!(changes["name"]["old"], "old, \"quoted\"");
        let answer = owner.get(&path(&server, "/export?resource_type=test&file_format=jsonl&ordering=created")).await.expect(200);
        let records: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records.len(), 1203);
        assert_eq!(records[0]["resource_name"], "Nümber 0");
        let one = owner.get(&path(&server, &format!("/{}", records[3]["id"].as_str().unwrap()))).await.expect(200).body;
        assert_eq!(one, records[3]);
        let few = owner.get(&path(&server, "/export?action=test.odd&status=failure")).await.expect(200);
        assert_eq!(csv(&few.text).len(), 121);
        let none = owner.get(&path(&server, "/export?action=nothing")).await.expect(200);
        assert_eq!(csv(&none.text).len(), 1);
        owner.get(&path(&server, "/export?file_format=xml&status=maybe")).await.expect(400);
    }

    async fn a_client_that_goes_away_ends_the_export(server: Server) {
        fill(&server, 1100).await;
        let url = format!("{}{}", server.base, path(&server, "/export"));
        let mut answer = reqwest::Client::new().get(&url).bearer_auth(&server.facts.owner.api_key).send().await.unwrap();
        assert!(answer.chunk().await.unwrap().is_some());
        drop(answer);
        // The server stops in peace: nothing waits for the client that has gone.
        let mut server = server;
        server.stop().await;
    }

    async fn only_owners_read_it(server: Server) {
        let record = {
            server.owner().patch(&server.instance(), &json!({"name": "x"})).await.expect(200);
            server.owner().get(&path(&server, "")).await.expect(200).body["results"][0]["id"].as_str().unwrap().to_owned()
        };
        for rest in [String::new(), "/export".to_owned(), format!("/{record}")] {
            for role in [Role::Guest, Role::Viewer, Role::Editor] {
                server.member(role).await.0.get(&path(&server, &rest)).await.expect(403);
            }
            server.stranger().get(&path(&server, &rest)).await.expect(404);
            server.anonymous().get(&path(&server, &rest)).await.expect(401);
        }
        let theirs = format!("/v1/organizations/{}/audit-logs/{record}", server.facts.stranger.organization_id);
        server.stranger().get(&theirs).await.expect(404);
    }
}
