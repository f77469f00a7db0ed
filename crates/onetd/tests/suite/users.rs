//! Operators' commands, while a server runs.

use serde_json::{Value, json};
use testkit::process::{Process, Program};

const ONETD: &str = env!("CARGO_BIN_EXE_onetd");

struct Scene {
    program: Program,
    server: Process,
    facts: Value,
    _folder: tempfile::TempDir,
}

/// A running server with demo data.
fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(ONETD, &folder.path().join("data"));
    let loaded = program.run(&["demo", "--instances", "1"]);
    let facts = serde_json::from_slice(&loaded.stdout).expect("facts as JSON");
    let server = program.serve();
    Scene {
        program,
        server,
        facts,
        _folder: folder,
    }
}

impl Scene {
    /// Runs a command, which must succeed, and returns what it says.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.program.run(arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    async fn log_in(&self) -> Result<String, u16> {
        let body = json!({"email": self.facts["email"], "password": self.facts["password"]});
        let sent = http()
            .post(self.url("/v1/auth/login"))
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = sent.status().as_u16();
        let answer: Value = sent.json().await.unwrap();
        if answer["mfa_required"] == true {
            return Err(0);
        }
        answer["access"].as_str().map(str::to_owned).ok_or(status)
    }

    async fn me(&self, bearer: &str) -> u16 {
        let sent = http()
            .get(self.url("/v1/auth/me"))
            .bearer_auth(bearer)
            .send()
            .await
            .unwrap();
        sent.status().as_u16()
    }

    /// How often something is in the database, read as another process does.
    fn count(&self, table: &str, column: &str, word: &str) -> i64 {
        use diesel::{
            Connection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query, sql_types::BigInt,
        };
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        let path = self.program.data_dir.join("onet.db");
        let mut conn = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
        let query = format!("SELECT count(*) AS n FROM {table} WHERE {column} = '{word}'");
        sql_query(query).get_result::<Count>(&mut conn).unwrap().n
    }
}

#[tokio::test]
async fn users_are_shown_locked_and_let_in_again() {
    let scene = scene();
    let (email, key) = (
        scene.facts["email"].as_str().unwrap(),
        scene.facts["api_key"].as_str().unwrap(),
    );
    let access = scene.log_in().await.unwrap();
    assert_eq!((scene.me(&access).await, scene.me(key).await), (200, 200));
    let shown = scene.run(&["user", "show", &email.to_uppercase()]);
    for part in [
        email,
        "active",
        "Lighthouse Labs (owner)",
        "second factors  none",
        "sessions        1",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let listed = scene.run(&["user", "list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert_eq!(
        scene.run(&["user", "list", "--search", "ADA@"]).lines().count(),
        1
    );
    assert_eq!(scene.run(&["user", "list", "--search", "%"]), "");
    assert!(
        scene
            .run(&["user", "list", "--limit", "1"])
            .contains("the first 1")
    );
    assert!(
        !scene
            .program
            .run(&["user", "list", "--limit", "1001"])
            .status
            .success()
    );

    assert!(
        scene
            .run(&["user", "disable", email])
            .contains("1 sessions were ended")
    );
    assert_eq!(
        (scene.me(&access).await, scene.me(key).await),
        (401, 401),
        "at once"
    );
    assert!(scene.log_in().await.is_err());
    assert!(scene.run(&["user", "disable", email]).contains("already"));
    assert!(scene.run(&["user", "show", email]).contains("disabled"));
    scene.run(&["user", "enable", email]);
    assert_eq!(
        (scene.me(&access).await, scene.me(key).await),
        (401, 200),
        "keys work again, sessions stay ended"
    );
    let access = scene.log_in().await.unwrap();
    assert!(
        scene
            .run(&["user", "end-sessions", email])
            .contains("1 were ended")
    );
    assert_eq!((scene.me(&access).await, scene.me(key).await), (401, 200));
    for (action, times) in [("user.disabled", 1), ("user.enabled", 1), ("session.revoked", 1)] {
        assert_eq!(scene.count("audit_records", "action", action), times, "{action}");
    }
    assert_eq!(scene.count("security_events", "event", "account_locked"), 1);
    assert_eq!(scene.count("security_events", "event", "session_revoked"), 1);
    let unknown = scene.program.run(&["user", "show", "nobody@example.com"]);
    assert!(!unknown.status.success() && String::from_utf8_lossy(&unknown.stderr).contains("no user"));
}

#[tokio::test]
async fn second_factors_are_taken_away_and_addresses_confirmed() {
    use diesel::{Connection, SqliteConnection, connection::SimpleConnection};
    let scene = scene();
    let email = scene.facts["email"].as_str().unwrap();
    {
        let path = scene.program.data_dir.join("onet.db");
        let mut conn = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
        let set_up = format!(
            "PRAGMA busy_timeout = 5000; \
             INSERT INTO mfa_methods (user_id, method, enabled_at, last_step, created) SELECT id, 'email', 1, 0, 1 FROM users WHERE email = '{email}'; \
             INSERT INTO recovery_codes (code_hash, user_id, created) SELECT 'x', id, 1 FROM users WHERE email = '{email}'; \
             UPDATE users SET email_verified = 0 WHERE email = '{email}';"
        );
        conn.batch_execute(&set_up).unwrap();
    }
    assert_eq!(scene.log_in().await, Err(403), "the address is not confirmed");
    assert!(scene.run(&["user", "show", email]).contains("unconfirmed"));
    scene.run(&["user", "verify-email", email]);
    assert!(scene.run(&["user", "verify-email", email]).contains("already"));
    assert_eq!(scene.log_in().await, Err(0), "a second factor is asked for");
    assert!(
        scene
            .run(&["user", "show", email])
            .contains("second factors  email")
    );
    assert!(
        scene
            .run(&["user", "reset-mfa", email])
            .contains("there were: email")
    );
    assert!(scene.log_in().await.is_ok());
    assert!(
        scene
            .run(&["user", "reset-mfa", email])
            .contains("has no second factor")
    );
    assert_eq!(scene.count("audit_records", "action", "user.mfa_disabled"), 1);
    assert_eq!(scene.count("audit_records", "action", "user.email_verified"), 1);
    assert_eq!(scene.count("security_events", "event", "mfa_disabled"), 1);
    assert_eq!(scene.count("mails", "template", "mfa_disabled"), 1);
}

#[tokio::test]
async fn signing_keys_are_rotated_while_a_server_runs() {
    let scene = scene();
    let access = scene.log_in().await.unwrap();
    assert!(scene.run(&["rotate-signing-key"]).contains("Generation 2"));
    assert_eq!(scene.me(&access).await, 200);
    assert!(
        scene
            .run(&["rotate-signing-key", "--retire-old-now"])
            .contains("Generation 3")
    );
    assert_eq!(scene.count("audit_records", "action", "signing_key.rotated"), 2);
    assert_eq!(scene.count("signing_keys", "generation", "3"), 1);
    // A server that starts now signs with the newest, and refuses the earlier ones.
    let Scene { program, server, .. } = &scene;
    assert!(server.answers());
    let second = program.serve();
    let sent = http()
        .get(format!("http://{}/v1/auth/me", second.address))
        .bearer_auth(&access)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 401);
}

/// A client beside those of the harness.
fn http() -> reqwest::Client {
    kernel::outbound::install_tls();
    reqwest::Client::new()
}
