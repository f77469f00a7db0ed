//! Requests that nobody thought of, made from the document by schemathesis: a short run of what `docs/testing.md`
//! describes in full.

use std::process::Command;

use testkit::{Engine, Server};

/// Where the test command has installed schemathesis; without it this test can't run and says so.
fn program() -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("ONET_TEST_PYTHON_BIN")?;
    Some(std::path::Path::new(&folder).join("schemathesis"))
}

async fn run(schema: &str, more: &[&str]) {
    let Some(program) = program() else {
        eprintln!("skipped: schemathesis is installed by `cargo xtask test`");
        return;
    };
    let server = Server::start(Engine::Sqlite, |_| ()).await;
    let schema = schema.replace("{base}", &server.base);
    let authorization = format!("Authorization: Bearer {}", server.facts.owner.api_key);
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command
        .current_dir(folder.path())
        .args([
            "run",
            &schema,
            "--url",
            &server.base,
            "-H",
            &authorization,
            "--no-color",
        ])
        .args([
            "--max-examples",
            "25",
            "--generation-deterministic",
            "--suppress-health-check",
            "all",
        ])
        .args(more);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .expect("schemathesis starts");
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_page_alone() {
    let page = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../contract/replace_instance.yaml"
    );
    run(
        page,
        &[
            "--exclude-checks",
            "positive_data_acceptance,negative_data_rejection,unsupported_method,allow_header_conformance",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_own_document() {
    run(
        "{base}/schema",
        &[
            "--exclude-checks",
            "positive_data_acceptance,negative_data_rejection",
        ],
    )
    .await;
}
