//! Consoles of machines: tokens, rights, bytes, and every way in which they end. The host is a double, whose serial line
//! answers Return with a login, and whose screen is grey.

use std::time::{Duration, Instant};

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use futures_util::{SinkExt, StreamExt};
use hypervisor::double::Fault;
use identity::schema::organizations;
use kernel::{access::Role, store::StoreError};
use serde_json::{Value, json};
use testkit::{Client, Engine, Server, on_both};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use crate::{
    account_pages::{Browser, lead},
    machines::Site,
    people::{membership, organization, records},
};

/// A machine's end of a console, as a client sees it.
pub(crate) struct Console(WebSocketStream<TcpStream>);

/// Connects with these subprotocols and headers; the status of a refusal.
pub(crate) async fn connect_with(
    server: &Server,
    session: &Value,
    protocols: &str,
    headers: &[(&'static str, &str)],
) -> Result<Console, u16> {
    let host = server.base.trim_start_matches("http://");
    let path = format!("/console/{}/ws", session["session_id"].as_str().unwrap());
    assert!(session["websocket_url"].as_str().unwrap().ends_with(&path));
    let mut request = format!("ws://{host}{path}").into_client_request().unwrap();
    if !protocols.is_empty() {
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocols.parse().unwrap());
    }
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(host).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, answer)) => {
            // The token is never said again.
            assert_eq!(answer.headers()["sec-websocket-protocol"], "onet.console");
            Ok(Console(socket))
        }
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// Connects as the page does.
pub(crate) async fn connect(server: &Server, session: &Value) -> Result<Console, u16> {
    let token = session["token"].as_str().expect("a token");
    connect_with(server, session, &format!("onet.console, token.{token}"), &[]).await
}

impl Console {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.send(Message::Binary(bytes.to_vec().into())).await.unwrap();
    }

    /// The next bytes of the machine; `None` when there are none for so long.
    pub(crate) async fn next(&mut self, limit: Duration) -> Option<Vec<u8>> {
        let read = async {
            loop {
                match self.0.next().await.expect("an open console").unwrap() {
                    Message::Binary(bytes) => return bytes.to_vec(),
                    Message::Ping(_) | Message::Pong(_) => {}
                    other => panic!("no bytes, but {other:?}"),
                }
            }
        };
        tokio::time::timeout(limit, read).await.ok()
    }

    /// Reads until `wanted` was seen.
    pub(crate) async fn reads(&mut self, wanted: &str, limit: Duration) -> Option<String> {
        let (mut seen, end) = (Vec::new(), Instant::now() + limit);
        loop {
            let text = String::from_utf8_lossy(&seen).into_owned();
            if text.contains(wanted) {
                return Some(text);
            }
            let left = end.saturating_duration_since(Instant::now());
            seen.extend(self.next(left).await?);
        }
    }

    /// Presses Return until the login is there.
    pub(crate) async fn login(&mut self, hostname: &str) {
        self.send(b"\r").await;
        let wanted = format!("{hostname} login: ");
        self.reads(&wanted, Duration::from_secs(10))
            .await
            .expect("a login");
    }

    /// Waits for the end, and returns its code and reason.
    async fn ended(mut self) -> (u16, String) {
        let end = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Close(Some(frame)))) => {
                        return (frame.code.into(), frame.reason.to_string());
                    }
                    Some(Ok(_)) => {}
                    other => panic!("cut off without a word: {other:?}"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(15), end)
            .await
            .expect("an end")
    }
}

/// Shakes hands (RFC 6143, 7.1 to 7.3), asks for a whole screen, and returns its size and its pixels. Works on what comes in
/// portions of any size.
pub(crate) async fn looks(console: &mut Console) -> (u16, u16, Vec<u8>) {
    struct Bytes<'a>(&'a mut Console, Vec<u8>);
    impl Bytes<'_> {
        async fn take(&mut self, count: usize) -> Vec<u8> {
            while self.1.len() < count {
                let more = self
                    .0
                    .next(Duration::from_secs(30))
                    .await
                    .expect("more of the screen");
                self.1.extend(more);
            }
            let rest = self.1.split_off(count);
            std::mem::replace(&mut self.1, rest)
        }
    }
    let short = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
    let mut bytes = Bytes(console, Vec::new());
    let version = bytes.take(12).await;
    assert_eq!(version, b"RFB 003.008\n");
    bytes.0.send(&version).await;
    let count = bytes.take(1).await[0];
    assert!(
        bytes.take(usize::from(count)).await.contains(&1),
        "no authentication is needed"
    );
    bytes.0.send(&[1]).await;
    assert_eq!(bytes.take(4).await, [0; 4]);
    bytes.0.send(&[1]).await;
    let head = bytes.take(24).await;
    let (width, height) = (short(&head), short(&head[2..]));
    let name = u32::from_be_bytes([head[20], head[21], head[22], head[23]]);
    bytes.take(name as usize).await;
    // Raw rectangles, then all of the screen.
    bytes.0.send(&[2, 0, 0, 1, 0, 0, 0, 0]).await;
    let mut request = vec![3, 0, 0, 0, 0, 0];
    request.extend(width.to_be_bytes());
    request.extend(height.to_be_bytes());
    bytes.0.send(&request).await;
    let update = bytes.take(4).await;
    assert_eq!(update[0], 0, "a framebuffer update");
    let mut pixels = Vec::new();
    for _ in 0..short(&update[2..]) {
        let rectangle = bytes.take(12).await;
        assert_eq!(rectangle[8..], [0; 4], "raw encoding");
        let size = usize::from(short(&rectangle[4..])) * usize::from(short(&rectangle[6..])) * 4;
        pixels.extend(bytes.take(size).await);
    }
    (width, height, pixels)
}

/// Opens a session as this client.
async fn open(site: &Site, server: &Server, client: &Client, instance: &Value, kind: &str) -> Value {
    let path = format!("{}/console", site.path(server, instance));
    client
        .post(&path, &json!({ "console_type": kind }))
        .await
        .expect(201)
        .body
}

fn path_of(site: &Site, server: &Server, instance: &Value, session: &Value) -> String {
    let id = session["session_id"].as_str().unwrap();
    format!("{}/console/{id}", site.path(server, instance))
}

async fn status(site: &Site, server: &Server, instance: &Value, session: &Value) -> String {
    let seen = server
        .owner()
        .get(&path_of(site, server, instance, session))
        .await
        .expect(200)
        .body;
    seen["console_session"]["status"].as_str().unwrap().to_owned()
}

/// Waits for a record that is written after the client has been told.
async fn recorded(server: &Server, action: &str, count: i64) {
    let end = Instant::now() + Duration::from_secs(10);
    while records(server, action).await != count {
        assert!(
            Instant::now() < end,
            "{action}: {} records, not {count}",
            records(server, action).await
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What an operator can do while the organization has instances.
async fn switch_modules_off(server: &Server) {
    let id = server.facts.owner.organization_id;
    let written = server.app.store().write("test", move |tx| {
        diesel::update(organizations::table.find(id))
            .set(organizations::modules.eq("[]"))
            .execute(tx.conn())
            .map_err(StoreError::from)
    });
    assert_eq!(written.await.unwrap(), 1);
}

on_both! {
    async fn a_serial_line_from_opening_to_closing(server: Server, |config| {
        config.server.public_url = "https://api.example.org/onet/".to_owned();
        // An open console is no request that takes too long.
        config.server.request_timeout_seconds = 1;
    }) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "line").await;
        let session = open(&site, &server, &server.owner(), &instance, "serial").await;
        let id = session["session_id"].as_str().unwrap();
        let token = session["token"].as_str().unwrap();
        assert_eq!(token.len(), 43);
        assert_eq!(session["instance_id"], instance["id"]);
        assert_eq!((&session["console_type"], &session["status"]), (&json!("serial"), &json!("ready")));
        assert_eq!(session["url"], format!("https://api.example.org/onet/console/{id}?type=serial#token={token}"));
        assert_eq!(session["websocket_url"], format!("wss://api.example.org/onet/console/{id}/ws"));
        let path = path_of(&site, &server, &instance, &session);
        let seen = server.owner().get(&path).await.expect(200);
        assert_eq!((&seen.body["id"], &seen.body["name"]), (&instance["id"], &json!("line")));
        assert_eq!(seen.body["console_session"]["token"], Value::Null);
        assert!(!seen.text.contains(token));
        assert_eq!(status(&site, &server, &instance, &session).await, "ready");

        let mut console = connect(&server, &session).await.expect("a console");
        console.login("line").await;
        assert_eq!(status(&site, &server, &instance, &session).await, "connected");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        console.login("line").await;

        let closing = Instant::now();
        server.owner().delete(&path).await.expect(204);
        assert_eq!(console.ended().await, (4000, "The session was closed.".to_owned()));
        assert!(closing.elapsed() < Duration::from_secs(1), "at once on the same node, not at the next look");
        assert_eq!(status(&site, &server, &instance, &session).await, "closed");
        server.owner().delete(&path).await.expect(204);
        assert_eq!(connect(&server, &session).await.err(), Some(403));
        for action in ["instance.console_opened", "instance.console_connected", "instance.console_closed"] {
            recorded(&server, action, 1).await;
        }
        let log = server.owner().get(&organization(&server, "/audit-logs?page_size=100")).await.expect(200);
        assert!(log.text.contains(id) && !log.text.contains(token));
    }

    async fn a_screen_is_shown(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "screen").await;
        let path = format!("{}/console", site.path(&server, &instance));
        // What is asked for is the default.
        let session = server.owner().post(&path, &json!({})).await.expect(201).body;
        assert_eq!(session["console_type"], "novnc");
        let mut console = connect(&server, &session).await.expect("a console");
        let (width, height, pixels) = looks(&mut console).await;
        assert_eq!((width, height, pixels.len()), (64, 48, 64 * 48 * 4));
        assert!(pixels.iter().all(|value| *value == 0x80));
        // Two may look at a screen.
        let other = open(&site, &server, &server.owner(), &instance, "novnc").await;
        looks(&mut connect(&server, &other).await.expect("another")).await;
        // Its client left.
        recorded(&server, "instance.console_closed", 1).await;
        assert_eq!(status(&site, &server, &instance, &other).await, "closed");
        assert_eq!(status(&site, &server, &instance, &session).await, "connected");
    }

    async fn a_token_opens_one_console_once_and_soon(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "token").await;
        let owner = server.owner();
        let session = open(&site, &server, &owner, &instance, "serial").await;
        let token = session["token"].as_str().unwrap();
        let other = open(&site, &server, &owner, &instance, "serial").await;
        for protocols in ["", "onet.console", "onet.console, token.", "onet.console, token.wrong",
            &format!("onet.console, token.{}", other["token"].as_str().unwrap())] {
            assert_eq!(connect_with(&server, &session, protocols, &[]).await.err(), Some(403), "{protocols}");
        }
        let right = format!("onet.console, token.{token}");
        for origin in ["https://evil.example", "null"] {
            assert_eq!(connect_with(&server, &session, &right, &[("origin", origin)]).await.err(), Some(403), "{origin}");
        }
        let id = session["session_id"].as_str().unwrap();
        server.anonymous().get(&format!("/console/{id}/ws")).await.expect(426);
        server.anonymous().get("/console/nothing/ws").await.expect(404);
        // None of that used it up. Of eight that come at once, one gets through.
        let tries = (0..8).map(|_| connect(&server, &session));
        let tries = futures_util::future::join_all(tries).await;
        assert_eq!(tries.iter().filter(|tried| tried.is_ok()).count(), 1);
        assert!(tries.iter().all(|tried| tried.as_ref().err().is_none_or(|status| *status == 403)));
        assert_eq!(connect(&server, &session).await.err(), Some(403));

        server.clock.advance(Duration::from_secs(61));
        assert_eq!(connect(&server, &other).await.err(), Some(403));
        let path = path_of(&site, &server, &instance, &other);
        owner.get(&path).await.expect(404);
        owner.delete(&path).await.expect(404);
    }

    async fn who_may_not_change_the_instance_has_no_console(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "mine").await;
        let path = format!("{}/console", site.path(&server, &instance));
        let wanted = json!({"console_type": "serial"});
        let (viewer, _) = server.member(Role::Viewer).await;
        viewer.post(&path, &wanted).await.expect(403);
        server.stranger().post(&path, &wanted).await.expect(404);
        server.anonymous().post(&path, &wanted).await.expect(401);
        let session = open(&site, &server, &server.owner(), &instance, "serial").await;
        let path = path_of(&site, &server, &instance, &session);
        viewer.get(&path).await.expect(200);
        viewer.delete(&path).await.expect(403);
        server.stranger().get(&path).await.expect(404);
        // Another instance's session, and none.
        let elsewhere = format!("{}/console/{}", server.instance(), session["session_id"].as_str().unwrap());
        server.owner().get(&elsewhere).await.expect(404);
        server.owner().delete(&elsewhere).await.expect(404);
        server.owner().get(&format!("{path}x")).await.expect(404);
        assert_eq!(status(&site, &server, &instance, &session).await, "ready");
        let refused = server.owner().post(&format!("{}/console", site.path(&server, &instance)),
            &json!({"console_type": "vga"})).await.expect(400);
        assert!(refused.body["console_type"].is_array());
        // A record without a machine.
        server.owner().post(&format!("{}/console", server.instance()), &json!({})).await.expect(409);
    }

    async fn rights_that_are_gone_cut_it(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "rights").await;
        let owner = server.owner();
        let (editor, user) = server.member(Role::Editor).await;
        let (other, other_user) = server.member(Role::Editor).await;
        let mut open_as = Vec::new();
        for client in [&editor, &other, &owner] {
            let session = open(&site, &server, client, &instance, "novnc").await;
            open_as.push(connect(&server, &session).await.expect("a console"));
        }
        let waits = open(&site, &server, &editor, &instance, "novnc").await;
        let (mut consoles, gone) = (open_as.into_iter(), (4003, "You may not use this console any more.".to_owned()));
        let member = membership(&server, user).await.expect("a member")["id"].as_str().unwrap().to_owned();
        owner.delete(&organization(&server, &format!("/members/{member}"))).await.expect(204);
        assert_eq!(consoles.next().unwrap().ended().await, gone);
        // Nor does a token that was given out before open anything.
        assert_eq!(connect(&server, &waits).await.err(), Some(403));
        let member = membership(&server, other_user).await.expect("a member")["id"].as_str().unwrap().to_owned();
        owner.patch(&organization(&server, &format!("/members/{member}")), &json!({"role": "viewer"})).await.expect(200);
        assert_eq!(consoles.next().unwrap().ended().await, gone);
        switch_modules_off(&server).await;
        assert_eq!(consoles.next().unwrap().ended().await, gone);
        recorded(&server, "instance.console_closed", 3).await;
    }

    async fn a_key_that_is_revoked_and_a_login_that_ends_cut_it(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "keys").await;
        let login = server.owner_login().await;
        let made = login.post("/v1/auth/api-keys", &json!({"name": "one", "scopes": ["compute:write"]})).await.expect(201).body;
        let by_key = server.client(made["key"].as_str().unwrap());
        let session = open(&site, &server, &by_key, &instance, "novnc").await;
        let console = connect(&server, &session).await.expect("a console");
        login.delete(&format!("/v1/auth/api-keys/{}", made["id"].as_str().unwrap())).await.expect(204);
        assert_eq!(console.ended().await.0, 4003);
        let (again, _) = server.log_in(&server.facts.owner.email, &server.facts.owner.password).await;
        let session = open(&site, &server, &again, &instance, "novnc").await;
        let console = connect(&server, &session).await.expect("a console");
        again.post("/v1/auth/logout", &json!({})).await;
        again.get("/v1/auth/me").await.expect(401);
        assert_eq!(console.ended().await.0, 4003);
    }

    async fn it_ends_with_the_machine(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "ends").await;
        let path = site.path(&server, &instance);
        let session = open(&site, &server, &server.owner(), &instance, "serial").await;
        let waits = open(&site, &server, &server.owner(), &instance, "serial").await;
        let mut console = connect(&server, &session).await.expect("a console");
        server.owner().post(&format!("{path}/shutdown"), &json!({})).await.expect(202);
        // Until it is off, its last words can be read.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        console.login("ends").await;
        server.run_tasks().await;
        assert_eq!(console.ended().await, (4010, "The machine stopped, or was started anew.".to_owned()));
        assert_eq!(connect(&server, &waits).await.err(), Some(409));
        let refused = server.owner().post(&format!("{path}/console"), &json!({})).await.expect(409);
        assert!(refused.text.contains("stopped"), "{}", refused.text);
        server.owner().post(&format!("{path}/start"), &json!({})).await.expect(202);
        server.run_tasks().await;
        let session = open(&site, &server, &server.owner(), &instance, "serial").await;
        let console = connect(&server, &session).await.expect("a console");
        server.owner().delete(&path).await.expect(202);
        assert_eq!(console.ended().await.0, 4010);
        server.owner().post(&format!("{path}/console"), &json!({})).await.expect(409);
    }

    async fn it_ends_with_its_time(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "time").await;
        let session = open(&site, &server, &server.owner(), &instance, "serial").await;
        let console = connect(&server, &session).await.expect("a console");
        // The node says now and then that it is still there.
        server.clock.advance(Duration::from_mins(239));
        let end = Instant::now() + Duration::from_secs(30);
        while status(&site, &server, &instance, &session).await != "connected" {
            assert!(Instant::now() < end, "not said within half a minute");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.clock.advance(Duration::from_secs(61));
        assert_eq!(console.ended().await, (4008, "The session's time is over.".to_owned()));
        server.owner().get(&path_of(&site, &server, &instance, &session)).await.expect(404);
    }

    async fn the_serial_line_goes_to_who_comes_last(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "one").await;
        let first = open(&site, &server, &server.owner(), &instance, "serial").await;
        let second = open(&site, &server, &server.owner(), &instance, "serial").await;
        let console = connect(&server, &first).await.expect("a console");
        let mut other = connect(&server, &second).await.expect("the line");
        assert_eq!(console.ended().await, (4009, "Another session uses the serial line now.".to_owned()));
        other.login("one").await;
        assert_eq!(status(&site, &server, &instance, &first).await, "closed");
        recorded(&server, "instance.console_closed", 1).await;
    }

    async fn there_are_not_too_many(server: Server, |config| { config.compute.consoles = 1; }) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "many").await;
        let mut sessions = Vec::new();
        for _ in 0..5 {
            sessions.push(open(&site, &server, &server.owner(), &instance, "novnc").await);
        }
        let path = format!("{}/console", site.path(&server, &instance));
        server.owner().post(&path, &json!({})).await.expect(409);
        let console = connect(&server, &sessions[0]).await.expect("a console");
        // The node has no place, and the token stays good.
        assert_eq!(connect(&server, &sessions[1]).await.err(), Some(503));
        server.owner().delete(&path_of(&site, &server, &instance, &sessions[0])).await.expect(204);
        console.ended().await;
        let end = Instant::now() + Duration::from_secs(10);
        let mut next = connect(&server, &sessions[1]).await;
        while next.is_err() && Instant::now() < end {
            next = connect(&server, &sessions[1]).await;
        }
        looks(&mut next.expect("the place")).await;
        open(&site, &server, &server.owner(), &instance, "novnc").await;
    }

    async fn a_repeated_request_does_not_show_the_token_again(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "again").await;
        let path = format!("{}/console", site.path(&server, &instance));
        let key = [("idempotency-key", "console-1")];
        let body = || Some(json!({"console_type": "serial"}).to_string());
        let first = server.owner().send(reqwest::Method::POST, &path, &key, body()).await.expect(201);
        let again = server.owner().send(reqwest::Method::POST, &path, &key, body()).await.expect(201);
        assert_eq!(again.body["session_id"], first.body["session_id"]);
        assert_eq!(again.body["token"], Value::Null);
        assert!(!again.text.contains(first.body["token"].as_str().unwrap()));
        connect(&server, &first.body).await.expect("a console");
    }

    async fn what_goes_wrong_is_told(server: Server) {
        let site = Site::open(&server).await;
        let instance = site.running(&server, "wrong").await;
        let session = open(&site, &server, &server.owner(), &instance, "serial").await;
        site.host.fail("serial", Fault::Passing);
        assert_eq!(connect(&server, &session).await.err(), Some(503));
        assert_eq!(status(&site, &server, &instance, &session).await, "closed");
        // A message that is too large.
        let session = open(&site, &server, &server.owner(), &instance, "serial").await;
        let mut console = connect(&server, &session).await.expect("a console");
        console.send(&vec![0; (1 << 20) + 1]).await;
        assert_eq!(console.ended().await.0, 1009);
        // Much, but in portions, goes through: the line answers each Return.
        let session = open(&site, &server, &server.owner(), &instance, "serial").await;
        let mut console = connect(&server, &session).await.expect("a console");
        console.send(&vec![b'\r'; 20_000]).await;
        let (mut seen, prompt) = (0, "\r\nwrong login: ".len());
        while seen < 20_000 * prompt {
            seen += console.next(Duration::from_secs(20)).await.expect("more prompts").len();
        }
        assert_eq!(seen, 20_000 * prompt);
    }

    async fn a_server_that_stops_says_so(server: Server) {
        let mut server = server;
        let site = Site::open(&server).await;
        let instance = site.running(&server, "stops").await;
        let session = open(&site, &server, &server.owner(), &instance, "serial").await;
        let console = connect(&server, &session).await.expect("a console");
        let stopping = Instant::now();
        let ((), end) = tokio::join!(server.stop(), console.ended());
        assert_eq!(end, (1001, "The server restarts.".to_owned()));
        assert!(stopping.elapsed() < Duration::from_secs(5), "{:?}", stopping.elapsed());
    }

    async fn pages_load_nothing_from_elsewhere(server: Server) {
        let anonymous = server.anonymous();
        let id = kernel::id::AnyId::new();
        for (kind, styles) in [("", "'self'"), ("?type=novnc", "'self'"), ("?type=serial", "'self' 'unsafe-inline'")] {
            let page = anonymous.get(&format!("/console/{id}{kind}")).await.expect(200);
            let policy = page.header("content-security-policy");
            assert!(policy.starts_with(&format!("default-src 'none'; script-src 'self'; style-src {styles}; ")), "{policy}");
            assert_eq!(page.header("referrer-policy"), "no-referrer");
            assert!(!page.text.contains("http") && !page.text.contains("<style") && !page.text.contains("onclick"));
            for (_, rest) in page.text.match_indices("\"assets/").map(|(at, _)| page.text[at + 1..].split_once('/').unwrap()) {
                let file = rest.split('"').next().unwrap();
                anonymous.get(&format!("/console/assets/{file}")).await.expect(200);
            }
        }
        for (file, imports) in [("main.js", "import("), ("screen.js", "from"), ("terminal.js", "from")] {
            let script = anonymous.get(&format!("/console/assets/{file}")).await.expect(200);
            assert!(script.header("content-type").starts_with("text/javascript"));
            assert!(script.text.contains(imports));
            for part in script.text.split("\"./").skip(1) {
                let file = part.split('"').next().unwrap();
                anonymous.get(&format!("/console/assets/{file}")).await.expect(200);
            }
        }
        let theirs = anonymous.get("/console/assets/novnc-1.7.0.js").await.expect(200);
        assert!(theirs.header("cache-control").contains("immutable"));
        anonymous.get("/console/assets/page.rs").await.expect(404);
        anonymous.get("/console/nothing").await.expect(404);
        anonymous.get(&format!("/console/{id}?type=other")).await.expect(404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_shows_the_screen_and_the_serial_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let public = origin.clone();
    let server = Server::start(Engine::Sqlite, move |config| config.server.public_url = public).await;
    lead(listener, &server);
    let Some(browser) = Browser::start().await else {
        return;
    };
    let site = Site::open(&server).await;
    let instance = site.running(&server, "browser").await;
    let script = async |text: &str| {
        browser
            .call("/execute/sync", &json!({"script": text, "args": []}))
            .await
    };

    let session = open(&site, &server, &server.owner(), &instance, "novnc").await;
    browser.open(session["url"].as_str().unwrap()).await;
    let middle = "const canvas = document.querySelector('canvas'); \
        return canvas?.width === 64 && [...canvas.getContext('2d').getImageData(32, 24, 1, 1).data].join()";
    browser
        .until("a grey screen", async |_| {
            script(middle).await == Some(json!("128,128,128,255"))
        })
        .await;
    let address = script("return location.href").await.unwrap();
    assert!(!address.as_str().unwrap().contains("token"), "{address}");
    browser.click("#keys").await;
    browser.click("#paste").await;
    browser.enter("#paste-text", "typed\n").await;
    browser.click("#paste-send").await;
    server
        .owner()
        .delete(&path_of(&site, &server, &instance, &session))
        .await
        .expect(204);
    browser.wait_for("#state.over").await;
    assert!(
        browser
            .text()
            .await
            .contains("The session was closed. To go on, open another console session.")
    );

    let session = open(&site, &server, &server.owner(), &instance, "serial").await;
    browser.open(session["url"].as_str().unwrap()).await;
    browser
        .until("a connection", async |browser| {
            browser.text().await.contains("Connected.")
        })
        .await;
    browser.enter(".xterm-helper-textarea", "\u{e007}").await;
    browser
        .until("a login", async |_| {
            let rows = script("return document.querySelector('.xterm-rows').textContent").await;
            // xterm.js writes spaces that don't break.
            rows.is_some_and(|rows| {
                rows.as_str()
                    .unwrap()
                    .replace('\u{a0}', " ")
                    .contains("browser login:")
            })
        })
        .await;
    browser.quit().await;
}
