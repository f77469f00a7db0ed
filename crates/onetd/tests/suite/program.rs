//! The program itself: its commands, its end, what it prints and what it never does.

use serde_json::Value;
use testkit::process::Program;

const ONETD: &str = env!("CARGO_BIN_EXE_onetd");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn settings_are_checked_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(ONETD, folder.path());
    let fine = program.run(&["check-config"]);
    assert!(fine.status.success(), "{}", text(&fine.stderr));
    assert!(!folder.path().join("onet.db").exists(), "checking starts nothing");
    for (name, value, said) in [
        ("ONET_SERVER__LISTEN", "nowhere", "listen"),
        ("ONET_STORE__CONNECTIONS", "0", "store.connections"),
        ("ONET_SERVER__NONSENSE", "1", "nonsense"),
        ("ONET_AUTH__SECRET", "short", "auth.secret"),
        ("ONET_SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/99\"]", "10.0.0.0/99"),
        ("ONET_STORE__URL", "mysql://x", "store.url"),
        ("ONET_LOG__LEVEL", "a=b=c", "log.level"),
        ("ONET_MAIL__TRANSPORT", "pigeon", "transport"),
        ("ONET_MAIL__TRANSPORT", "smtp", "mail.from"),
        ("ONET_MAIL__TIMEOUT_SECONDS", "0", "mail.timeout_seconds"),
    ] {
        let refused = program.clone().with(name, value).run(&["check-config"]);
        assert!(!refused.status.success(), "{name}={value}");
        assert!(
            text(&refused.stderr).to_lowercase().contains(said),
            "{name}: {}",
            text(&refused.stderr)
        );
    }
    assert!(
        text(&fine.stdout).contains("mail.transport"),
        "no mail is sent, and it says so"
    );
    let smtp = program
        .clone()
        .with("ONET_MAIL__TRANSPORT", "smtp")
        .with("ONET_MAIL__FROM", "Example <no-reply@example.org>");
    let url = "smtp://user:hunter2@mail.example.org?tls=perhaps";
    let refused = smtp
        .clone()
        .with("ONET_MAIL__SMTP_URL", url)
        .run(&["check-config"]);
    let said = text(&refused.stderr);
    assert!(
        said.contains("mail.smtp_url") && !said.contains("hunter2"),
        "{said}"
    );
    let url = "smtp://user:hunter2@mail.example.org?tls=required";
    let right = smtp.with("ONET_MAIL__SMTP_URL", url).run(&["check-config"]);
    assert!(right.status.success(), "{}", text(&right.stderr));
    let printed = program.run(&["default-config"]);
    assert_eq!(text(&printed.stdout), kernel::config::DEFAULTS);
    let file = folder.path().join("onet.toml");
    std::fs::write(&file, "[server]\nlisten = \"127.0.0.1:1\"\nport = 7\n").unwrap();
    let refused = program.run(&["--config", &file.to_string_lossy(), "check-config"]);
    assert!(
        text(&refused.stderr).contains("port"),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn an_operator_is_created_and_the_program_ends_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(ONETD, folder.path());
    let migrated = program.run(&["migrate"]);
    assert!(
        text(&migrated.stdout).contains("20261101000001"),
        "{}",
        text(&migrated.stderr)
    );
    assert_eq!(
        text(&program.run(&["migrate"]).stdout).trim(),
        "The database is up to date."
    );
    let create = [
        "create-admin",
        "--email",
        "root@example.com",
        "--organization",
        "Operators",
        "--password-stdin",
    ];
    let weak = program.run_with_input(&create, "weak\n");
    assert!(
        !weak.status.success() && text(&weak.stderr).contains("8 to 128"),
        "{}",
        text(&weak.stderr)
    );
    let made = program.run_with_input(&create, "Strong-Enough-1\n");
    assert!(made.status.success(), "{}", text(&made.stderr));
    let again = program.run_with_input(&create, "Strong-Enough-1\n");
    assert!(
        !again.status.success() && text(&again.stderr).contains("exists already"),
        "{}",
        text(&again.stderr)
    );
    let other = program.run(&["create-admin", "--email", "ops@example.com"]);
    assert!(
        text(&other.stdout).contains("Password: "),
        "{}",
        text(&other.stdout)
    );

    let mut server = program.serve();
    assert!(server.is_running());
    let key = std::fs::metadata(folder.path().join("secret.key")).expect("the key file");
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777,
        0o600
    );
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_backup_by_command_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(ONETD, &folder.path().join("data"));
    let loaded = program.run(&["demo", "--instances", "3"]);
    assert!(loaded.status.success(), "{}", text(&loaded.stderr));
    let facts: Value = serde_json::from_slice(&loaded.stdout).expect("facts as JSON");
    for field in [
        "email",
        "password",
        "api_key",
        "organization_id",
        "project_id",
        "instance_id",
    ] {
        assert!(
            facts[field].is_string() && facts["stranger"][field].is_string(),
            "{field}"
        );
    }
    assert!(
        !program.run(&["demo"]).status.success(),
        "demo data goes into an empty database only"
    );
    let file = folder.path().join("copy.db").to_string_lossy().into_owned();
    let server = program.serve();
    assert!(program.run(&["backup", &file]).status.success());
    assert!(!program.run(&["backup", &file]).status.success());
    assert_eq!(server.terminate(), Some(0));
    let restored = program.run(&["restore", &file]);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    let server = program.serve();
    assert!(server.answers());
}

#[test]
fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(ONETD, folder.path());
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let refused = program.with("ONET_SERVER__LISTEN", &address).run(&["serve"]);
    assert!(!refused.status.success());
    assert!(
        text(&refused.stderr).contains(&format!("can't listen on {address}")),
        "{}",
        text(&refused.stderr)
    );
}

#[tokio::test]
async fn secrets_are_not_logged() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let program = Program::new(ONETD, &folder.path().join("data"))
        .with("ONET_LOG__LEVEL", "trace")
        .with("ONET_LOG__FORMAT", "json");
    let facts: Value = serde_json::from_slice(&program.run(&["demo", "--instances", "1"]).stdout).unwrap();
    let server = program.serve_logging_to(&log);
    let base = format!("http://{}", server.address);
    kernel::outbound::install_tls();
    let client = reqwest::Client::new();
    let login = serde_json::json!({"email": facts["email"], "password": facts["password"]});
    let tokens: Value = client
        .post(format!("{base}/v1/auth/login"))
        .json(&login)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    for bearer in [&tokens["access"], &facts["api_key"]] {
        let sent = client
            .get(format!("{base}/v1/auth/me"))
            .bearer_auth(bearer.as_str().unwrap())
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status(), 200);
    }
    let refresh = serde_json::json!({"refresh": tokens["refresh"]});
    client
        .post(format!("{base}/v1/auth/token/refresh"))
        .json(&refresh)
        .send()
        .await
        .unwrap();
    assert_eq!(server.terminate(), Some(0));
    let lines = std::fs::read_to_string(&log).unwrap();
    assert!(
        lines.contains("\"operation\":\"login\"") || lines.contains("login"),
        "requests are logged"
    );
    for secret in [
        &tokens["access"],
        &tokens["refresh"],
        &facts["api_key"],
        &facts["password"],
    ] {
        assert!(
            !lines.contains(secret.as_str().unwrap()),
            "a secret is in the log"
        );
    }
}
