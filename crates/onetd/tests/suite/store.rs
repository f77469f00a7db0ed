//! The store: groups, failures, backups, both schemas alike.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, connection::SimpleConnection};
use kernel::{
    http::{ApiError, ApiResult},
    schema::audit_records,
    store::Tx,
};
use serde_json::json;
use testkit::{Engine, Server, on_both};

fn mark(tx: &mut Tx<'_>, name: &str) -> ApiResult<()> {
    identity::counters::next(tx, name)?;
    Ok(())
}

async fn marks(server: &Server) -> BTreeMap<String, i64> {
    use diesel::TextExpressionMethods;
    use identity::schema::counters;
    let read = server.app.store().read("test", |conn| {
        let rows = counters::table
            .filter(counters::name.like("mark%"))
            .order(counters::name.asc());
        Ok::<_, ApiError>(rows.load::<(String, i64)>(conn)?)
    });
    read.await.unwrap().into_iter().collect()
}

on_both! {
    async fn a_failing_write_does_not_disturb_its_neighbours(server: Server) {
        let store = server.app.store();
        let running: Vec<_> = (0..60)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    let work = move |tx: &mut Tx<'_>| {
                        mark(tx, &format!("mark{number:02}"))?;
                        match number % 3 {
                            0 => Ok(()),
                            1 => Err(ApiError::refused("on purpose")),
                            _ => panic!("on purpose"),
                        }
                    };
                    store.write("test", work).await
                })
            })
            .collect();
        let mut outcomes = Vec::new();
        for write in running {
            outcomes.push(write.await.unwrap().map_err(|error| error.status().as_u16()));
        }
        for (number, outcome) in outcomes.iter().enumerate() {
            assert_eq!(*outcome, [Ok(()), Err(400), Err(500)][number % 3], "{number}");
        }
        let kept: Vec<String> = marks(&server).await.into_keys().collect();
        let expected: Vec<String> = (0..60).step_by(3).map(|number| format!("mark{number:02}")).collect();
        assert_eq!(kept, expected);
    }

    async fn a_commit_that_fails_keeps_nothing_and_answers_503(server: Server) {
        // By a login: the first use of a key is a write of its own.
        let (client, _) = server.log_in(&server.facts.owner.email, &server.facts.owner.password).await;
        let before = client.get(&server.instance()).await.expect(200);
        kernel::crash::fail_at("store.commit", 1);
        let refused = client.patch(&server.instance(), &json!({"name": "lost"})).await.expect(503);
        assert!(!refused.header("retry-after").is_empty());
        let after = client.get(&server.instance()).await.expect(200);
        assert_eq!(after.header("etag"), before.header("etag"));
        assert_eq!(crate::instances_replace::records(&server, &client).await, 0);
        client.patch(&server.instance(), &json!({"name": "kept"})).await.expect(200);
    }

    async fn a_whole_group_fails_together(server: Server) {
        // The first write holds the writer until the others have queued up behind it.
        let (open, queued) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (gate, app) = (Arc::clone(&open), server.app.clone());
        let first = tokio::spawn(async move {
            let hold = move |tx: &mut Tx<'_>| {
                while !gate.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                mark(tx, "mark-first")
            };
            app.store().write("test", hold).await
        });
        let writes: Vec<_> = (0..20)
            .map(|number| {
                let (app, queued) = (server.app.clone(), Arc::clone(&queued));
                tokio::spawn(async move {
                    let write = app.store().write("test", move |tx| mark(tx, &format!("mark{number:02}")));
                    queued.fetch_add(1, Ordering::Release);
                    write.await
                })
            })
            .collect();
        while queued.load(Ordering::Acquire) < 20 {
            tokio::task::yield_now().await;
        }
        kernel::crash::fail_at("store.commit", 1);
        open.store(true, Ordering::Release);
        let mut failed = usize::from(first.await.unwrap().is_err());
        for write in writes {
            if let Err(error) = write.await.unwrap() {
                assert_eq!(error.status(), 503);
                failed += 1;
            }
        }
        let kept = marks(&server).await.len();
        assert!(failed >= 1, "one commit was made to fail");
        assert_eq!(kept + failed, 21, "what failed is not there, what did not is");
    }

    async fn every_write_of_an_operation_is_one_transaction(server: Server) {
        let client = server.owner();
        client.patch(&server.instance(), &json!({"name": "a"})).await.expect(200);
        let organization = server.facts.owner.organization_id;
        let count = server.app.store().read("test", move |conn| {
            let records = audit_records::table.filter(audit_records::organization_id.eq(organization));
            Ok::<_, ApiError>(records.count().get_result::<i64>(conn)?)
        });
        assert_eq!(count.await.unwrap(), 1);
    }
}

#[derive(diesel::QueryableByName, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    #[diesel(sql_type = diesel::sql_types::Text)]
    kind: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    table_name: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

async fn things(server: &Server) -> Vec<Named> {
    let sql = if server.app.store().is_sqlite() {
        "SELECT 'column' AS kind, m.name AS table_name, c.name AS name FROM sqlite_master m, pragma_table_info(m.name) c \
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' \
         UNION ALL SELECT 'index', tbl_name, name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    } else {
        "SELECT 'column' AS kind, table_name::text AS table_name, column_name::text AS name FROM information_schema.columns \
         WHERE table_schema = 'public' \
         UNION ALL SELECT 'index', t.relname::text, i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
         JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace \
         LEFT JOIN pg_constraint c ON c.conindid = i.oid WHERE n.nspname = 'public' AND c.oid IS NULL"
    };
    let read = server.app.store().read("test", move |conn| {
        let mut rows: Vec<Named> = diesel::sql_query(sql).load(conn)?;
        rows.retain(|row| row.table_name != "__diesel_schema_migrations");
        rows.sort();
        Ok::<_, ApiError>(rows)
    });
    read.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_have_the_same_tables_columns_and_indexes() {
    let sqlite = Server::start(Engine::Sqlite, |_| ()).await;
    let postgres = Server::start(Engine::Postgres, |_| ()).await;
    let (left, right) = (things(&sqlite).await, things(&postgres).await);
    assert!(left.len() > 100, "{left:?}");
    assert_eq!(left, right);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_taken_while_requests_go_on_and_can_be_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(Engine::Sqlite, |config| config.data_dir = data.clone()).await;
    let client = server.owner();
    client
        .patch(&server.instance(), &json!({"name": "in the backup"}))
        .await
        .expect(200);
    let file = folder.path().join("backup.db");
    let app = server.app.clone();
    let target = file.clone();
    let copying = tokio::task::spawn_blocking(move || app.store().backup(&target));
    for number in 0..20 {
        client
            .patch(&server.instance(), &json!({"description": format!("{number}")}))
            .await
            .expect(200);
    }
    copying.await.unwrap().unwrap();
    assert!(
        server.app.store().backup(&file).is_err(),
        "a backup never overwrites"
    );
    client
        .patch(&server.instance(), &json!({"name": "after the backup"}))
        .await
        .expect(200);
    let place = server.app.store().place().clone();
    server.stop().await;
    drop(server);
    std::fs::write(
        folder.path().join("damaged.db"),
        b"SQLite format 3\0 and then nothing of use",
    )
    .unwrap();
    assert!(kernel::store::restore(&place, &folder.path().join("damaged.db")).is_err());
    // The stopped server's threads give the file up one by one.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while let Err(error) = kernel::store::restore(&place, &file) {
        assert!(error.to_string().contains("in use"), "{error}");
        assert!(std::time::Instant::now() < deadline, "{error}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut config = testkit::server::settings(folder.path());
    config.data_dir = data;
    let store = kernel::store::Store::open(&config, kernel::time::Clock::default()).unwrap();
    let names = store.read("test", |conn| {
        conn.batch_execute("PRAGMA integrity_check")?;
        Ok::<_, ApiError>(
            compute::schema::instances::table
                .select(compute::schema::instances::name)
                .load::<String>(conn)?,
        )
    });
    let names = names.await.unwrap();
    assert!(names.contains(&"in the backup".to_owned()) && !names.contains(&"after the backup".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_says_how_it_is_backed_up() {
    let server = Server::start(Engine::Postgres, |_| ()).await;
    let refused = server
        .app
        .store()
        .backup(std::path::Path::new("never.db"))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("pg_dump"), "{refused}");
}
