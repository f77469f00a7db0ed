//! The operator's catalogue file: shown, agreed to, made true, and seen by servers that run.

use std::{path::Path, time::Duration};

use compute::catalogue::file::{ApplyError, CatalogueFile, Plan, apply, plan, present};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use kernel::{
    audit::Origin,
    schema::audit_records,
    store::{StoreError, Tx},
};
use serde_json::{Value, json};
use testkit::{Server, on_both, process::Program};

const ONETD: &str = env!("CARGO_BIN_EXE_onetd");
const EXAMPLE: &str = include_str!("../../../../deploy/catalogue.example.toml");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn planned(server: &Server, file: &CatalogueFile) -> Plan {
    let file = file.clone();
    let read = server
        .app
        .store()
        .read("test", move |conn| plan(conn, &file).map_err(ApplyError::from));
    read.await.unwrap()
}

async fn applied(server: &Server, file: &CatalogueFile, agreed: Plan) -> Result<(), ApplyError> {
    let file = file.clone();
    let write = server.app.store().write("test", move |tx: &mut Tx<'_>| {
        apply(tx, &file, &agreed, &Origin::system("test"))
    });
    write.await
}

async fn exported(server: &Server) -> CatalogueFile {
    let read = server.app.store().read("test", present);
    read.await.unwrap_or_else(|error: StoreError| panic!("{error}"))
}

/// How often the catalogue was changed.
async fn records(server: &Server) -> i64 {
    let read = server.app.store().read("test", |conn| {
        let query = audit_records::table.filter(audit_records::action.eq("catalogue.applied"));
        Ok::<i64, StoreError>(query.count().get_result(conn)?)
    });
    read.await.unwrap()
}

/// What `path` answers once it is `wanted`, which takes a second at most.
async fn until(server: &Server, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..30 {
        let body = server.owner().get(path).await.expect(200).body;
        if wanted(&body) {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} does not show the change within a second and a half")
}

on_both! {
    async fn the_example_is_what_the_demo_has(server: Server) {
        let example = CatalogueFile::parse(EXAMPLE).unwrap();
        assert!(planned(&server, &example).await.is_empty());
        let present = exported(&server).await;
        assert_eq!(present, example);
        let again = CatalogueFile::parse(&present.to_string()).unwrap();
        assert!(planned(&server, &again).await.is_empty(), "an export changes nothing");
    }

    async fn a_file_becomes_the_offer(server: Server) {
        let list = |what: &str| server.project(&format!("/compute/{what}"));
        let before = server.owner().get(&list("sizes?search=vps-s")).await.expect(200).body["results"][0].clone();
        let instance = server.owner().get(&server.instance()).await.expect(200).body;
        let mut file = exported(&server).await;
        let mut ams = file.locations["par1"].clone();
        ams.name = "Amsterdam DC1".to_owned();
        ams.country_code = "NL".to_owned();
        file.locations.insert("ams1".to_owned(), ams);
        file.images.remove("windows-2022").unwrap();
        file.sizes.remove("vps-m").unwrap();
        let size = file.sizes.get_mut("vps-s").unwrap();
        size.vcpu = 2;
        let monthly = size.prices.iter_mut().find(|price| price.cycle.as_str() == "monthly").unwrap();
        monthly.price = kernel::money::Amount::parse("4.4950").unwrap();
        size.prices.retain(|price| price.cycle.as_str() != "biennially");
        size.addons.remove("backup").unwrap();
        let file = CatalogueFile::parse(&file.to_string()).unwrap();
        let agreed = planned(&server, &file).await;
        assert_eq!(agreed.summary(), "1 new, 1 changed, 2 taken off offer");
        let shown = agreed.to_string();
        for line in [
            "+ location ams1\n", "- image windows-2022 (taken off offer)\n", "- size vps-m (taken off offer)\n", "~ size vps-s\n    vcpu: 1 -> 2\n",
            "    price monthly: 3.99, default -> 4.4950, default\n", "    price biennially: 81.39 (15.00 % off) -> 81.39 (15.00 % off), not on offer\n",
            "    add-on backup: optional -> optional, not on offer\n",
        ] {
            assert!(shown.contains(line), "{line}\n{shown}");
        }
        let known = records(&server).await;
        applied(&server, &file, agreed.clone()).await.unwrap();
        assert_eq!(records(&server).await, known + 1);
        // The server runs all the while.
        let locations = until(&server, &list("locations"), |body| body["count"] == 4).await;
        assert!(locations["results"].as_array().unwrap().iter().any(|location| location["slug"] == "ams1"));
        let after = server.owner().get(&list("sizes?search=vps-s")).await.expect(200).body["results"][0].clone();
        assert_eq!((&after["id"], &after["vcpu"]), (&before["id"], &json!(2)));
        assert!(after["modified"].as_str() > before["modified"].as_str());
        let option = |size: &Value, cycle: &str| {
            size["pricing_options"].as_array().unwrap().iter().find(|option| option["billing_cycle"] == cycle).unwrap().clone()
        };
        assert_eq!(option(&after, "monthly")["price"], "4.4950");
        assert_eq!(option(&after, "monthly")["id"], option(&before, "monthly")["id"], "a price that changes stays the same price");
        assert_eq!(option(&after, "biennially")["is_active"], false);
        let gone = server.owner().get(&list("sizes?is_active=false")).await.expect(200).body;
        assert_eq!((&gone["count"], &gone["results"][0]["slug"]), (&json!(1), &json!("vps-m")));
        assert_eq!(server.owner().get(&list("images?is_windows=true")).await.expect(200).body["count"], 0);
        // Who has an instance of it keeps it.
        let still = server.owner().get(&server.instance()).await.expect(200).body;
        assert_eq!((&still["size"]["id"], &still["image"]["id"]), (&instance["size"]["id"], &instance["image"]["id"]));
        // Twice is once, and what is agreed to must still be what would happen.
        assert!(planned(&server, &file).await.is_empty());
        assert!(matches!(applied(&server, &file, agreed).await, Err(ApplyError::Moved)));
        assert_eq!(records(&server).await, known + 1);
        // The way back.
        let example = CatalogueFile::parse(EXAMPLE).unwrap();
        let back = planned(&server, &example).await;
        assert_eq!(back.summary(), "0 new, 3 changed, 1 taken off offer");
        applied(&server, &example, back).await.unwrap();
        let sizes = until(&server, &list("sizes"), |body| body["count"] == 5).await;
        assert_eq!(sizes["results"][0]["pricing_options"], before["pricing_options"]);
    }

    async fn of_two_who_apply_one_wins(server: Server) {
        let mut file = exported(&server).await;
        file.locations.get_mut("par1").unwrap().name = "Paris".to_owned();
        let agreed = planned(&server, &file).await;
        let known = records(&server).await;
        let (one, two) = tokio::join!(applied(&server, &file, agreed.clone()), applied(&server, &file, agreed));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        assert_eq!(records(&server).await, known + 1);
    }

    async fn an_empty_database_takes_the_example(server: Server) {
        // The same rows under other slugs: nothing of the example is there.
        use compute::schema::{addons, images, locations, sizes};
        let work = |tx: &mut Tx<'_>| {
            for (table, n) in [("locations", 3), ("addons", 3), ("images", 5), ("sizes", 5)] {
                let sql = format!("update {table} set slug = 'old-' || slug");
                assert_eq!(diesel::sql_query(sql).execute(tx.conn())?, n, "{table}");
            }
            Ok::<_, StoreError>(())
        };
        server.app.store().write("test", work).await.unwrap();
        let example = CatalogueFile::parse(EXAMPLE).unwrap();
        let agreed = planned(&server, &example).await;
        assert_eq!(agreed.summary(), "16 new, 0 changed, 16 taken off offer");
        applied(&server, &example, agreed).await.unwrap();
        let present = exported(&server).await;
        for (slug, size) in &example.sizes {
            assert_eq!(present.sizes.get(slug), Some(size));
        }
        let count = server.app.store().read("test", |conn| {
            let counts: [i64; 4] = [
                locations::table.count().get_result(conn)?, addons::table.count().get_result(conn)?,
                images::table.count().get_result(conn)?, sizes::table.count().get_result(conn)?,
            ];
            Ok::<_, StoreError>(counts)
        });
        assert_eq!(count.await.unwrap(), [6, 6, 10, 10], "nothing is deleted");
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn the_commands_show_ask_and_do() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(ONETD, &folder.path().join("data"));
    let example = write(folder.path(), "example.toml", EXAMPLE);
    let said = |arguments: &[&str], input: &str| {
        let done = program.run_with_input(&[&["catalogue"], arguments].concat(), input);
        (done.status.success(), text(&done.stdout), text(&done.stderr))
    };
    let (fine, out, _) = said(&["check", &example], "");
    assert!(
        fine && out.contains("is valid: 3 locations, 3 add-ons, 5 images, 5 sizes."),
        "{out}"
    );
    assert!(!folder.path().join("data").exists(), "checking needs no database");

    let (fine, out, err) = said(&["apply", &example, "--dry-run"], "");
    assert!(
        fine && out.contains("+ size vps-xxl") && out.contains("Nothing was changed."),
        "{out}{err}"
    );
    let (fine, out, err) = said(&["apply", &example], "no\n");
    assert!(
        !fine && out.contains("16 new, 0 changed") && err.contains("nothing was changed"),
        "{out}{err}"
    );
    let (_, out, _) = said(&["export"], "");
    assert!(!out.contains("[["), "{out}");
    let (fine, out, err) = said(&["apply", &example], "yes\n");
    assert!(fine && out.contains("Done."), "{out}{err}");
    let (fine, out, _) = said(&["apply", &example, "--yes"], "");
    assert!(fine && out.trim() == "There is nothing to change.", "{out}");
    let (_, out, _) = said(&["export"], "");
    let export = write(folder.path(), "export.toml", &out);
    let (fine, out, _) = said(&["apply", &export, "--yes"], "");
    assert!(fine && out.trim() == "There is nothing to change.", "{out}");

    let faulty = EXAMPLE
        .replace(
            "country_code = \"FR\"",
            "country_code = \"France\"\ncolour = \"blue\"",
        )
        .replacen("price = \"3.99\"", "price = \"3,99\"", 1)
        .replacen("[size.addons.backup]", "[size.addons.backups]", 1)
        .replacen("slug = \"vps-m\"", "slug = \"vps-s\"", 1);
    let faulty = write(folder.path(), "faulty.toml", &faulty);
    for command in [&["check", &faulty][..], &["apply", &faulty, "--yes"]] {
        let (fine, _, err) = said(command, "");
        assert!(!fine && err.contains("faults:"), "{err}");
        for words in [
            "location par1: country_code",
            "location par1: colour: is not known",
            "backups: there is no such add-on",
            "size vps-s: slug: is another's",
            "prices.monthly.price: \"3,99\"",
        ] {
            assert!(err.contains(words) && err.contains("  line "), "{words}: {err}");
        }
    }
    let (_, out, _) = said(&["export"], "");
    assert_eq!(
        out,
        std::fs::read_to_string(&export).unwrap(),
        "nothing was changed"
    );
    let (fine, _, err) = said(&["apply", "nowhere.toml"], "");
    assert!(!fine && err.contains("nowhere.toml"), "{err}");
}
