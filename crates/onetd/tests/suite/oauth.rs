//! Logins by identity providers: the way there and back, what a provider may not do, and what nobody may do with it.

use std::time::Duration;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use identity::schema::{mfa_methods, oauth_connections, users};
use kernel::config::{OauthKind, Registration};
use serde_json::{Value, json};
use testkit::{Answer, Client, Server, on_both};

use super::oauth_double::{self as double, Double, Lie, TENANT};

const AUTHORIZE: &str = "/v1/auth/oauth/double/authorize";
const CALLBACK: &str = "/v1/auth/oauth/double/callback";
const LINK: &str = "/v1/auth/oauth/double/link";
const CONNECTIONS: &str = "/v1/auth/oauth/connections";

fn page(server: &Server) -> String {
    format!("{}/account/oauth/callback", server.app.config().server.base_url())
}

/// Begins a way: what the provider's page is called with, and the state.
async fn begin(server: &Server, client: &Client, path: &str, intent: &str) -> Value {
    let body = json!({"redirect_uri": page(server), "intent": intent});
    client.post(path, &body).await.expect(200).body
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

fn ada() -> Value {
    json!({"sub": "ada-1", "email": "ada@example.org", "email_verified": true, "name": "Ada Lovelace"})
}

/// Logs in as the person that the claims describe.
async fn log_in(server: &Server, provider: &Double, claims: Value) -> Answer {
    let client = server.anonymous();
    let way = begin(server, &client, AUTHORIZE, "login").await;
    let code = provider.consent(text(&way, "authorization_url"), claims);
    client
        .post(CALLBACK, &json!({"code": code, "state": way["state"]}))
        .await
}

/// Links the person to the client's user.
async fn link(server: &Server, client: &Client, provider: &Double, claims: Value) -> Answer {
    let way = begin(server, client, AUTHORIZE, "link").await;
    let code = provider.consent(text(&way, "authorization_url"), claims);
    client
        .post(LINK, &json!({"code": code, "state": way["state"]}))
        .await
}

async fn owner(server: &Server) -> Client {
    let owner = &server.facts.owner;
    server.log_in(&owner.email, &owner.password).await.0
}

async fn count_users(server: &Server) -> i64 {
    let counted = server.app.store().read("test", |conn| {
        Ok::<i64, kernel::store::StoreError>(users::table.count().get_result(conn)?)
    });
    counted.await.unwrap()
}

/// Every lie about a person is refused, and makes no account.
async fn is_refused(server: &Server, provider: &Double, lie: Lie, status: u16, code: &str) {
    let before = count_users(server).await;
    provider.lie(lie);
    let answer = log_in(server, provider, ada()).await;
    provider.lie(Lie::None);
    assert_eq!(
        (answer.status, text(&answer.body, "code")),
        (status, code),
        "{lie:?}: {}",
        answer.text
    );
    assert_eq!(count_users(server).await, before, "{lie:?}");
}

on_both! {
    async fn a_newcomer_gets_an_account_and_comes_back_to_it(server: Server, |config| { double::add(config); }) {
        let provider = double::of(&server, "double");
        let list = server.anonymous().get("/v1/auth/oauth/providers").await.expect(200).body;
        assert_eq!(list, json!([{"slug": "double", "name": "Company", "icon_url": null, "login_enabled": true, "link_enabled": true}]));
        assert_eq!(server.anonymous().get("/v1/auth/config").await.expect(200).body["oauth_providers"], list);
        let first = log_in(&server, &provider, ada()).await.expect(200).body;
        assert_eq!(first["user"]["email"], "ada@example.org");
        assert_eq!((&first["user"]["email_verified"], &first["user"]["has_password"]), (&json!(true), &json!(false)));
        assert_eq!(first["user"]["name"], "Ada Lovelace");
        let client = server.client(text(&first, "access"));
        assert_eq!(client.get("/v1/organizations").await.expect(200).body[0]["name"], "Ada Lovelace");
        // The address may change at the provider: the subject counts.
        let renamed = json!({"sub": "ada-1", "email": "countess@example.org", "email_verified": true});
        let second = log_in(&server, &provider, renamed).await.expect(200).body;
        assert_eq!(second["user"]["id"], first["user"]["id"]);
        assert_eq!(second["user"]["email"], "ada@example.org");
        let connections = client.get(CONNECTIONS).await.expect(200).body;
        assert_eq!(connections.as_array().unwrap().len(), 1);
        assert_eq!((text(&connections[0], "provider_user_id"), text(&connections[0], "email")), ("ada-1", "countess@example.org"));
        let events = client.get("/v1/auth/security-events?event=oauth_linked").await.expect(200).body;
        assert_eq!(events["count"], 1, "{events}");
    }

    async fn an_address_that_is_taken_opens_nothing_until_it_is_linked(server: Server, |config| { double::add(config); }) {
        let provider = double::of(&server, "double");
        let email = server.facts.owner.email.to_uppercase();
        let person = json!({"sub": "o-1", "email": email, "email_verified": true});
        let refused = log_in(&server, &provider, person.clone()).await.expect(409).body;
        assert_eq!(refused["code"], "account_exists");
        let client = owner(&server).await;
        let linked = link(&server, &client, &provider, person.clone()).await.expect(201);
        assert_eq!(linked.header("location"), format!("{CONNECTIONS}/{}", text(&linked.body, "id")));
        let login = log_in(&server, &provider, person.clone()).await.expect(200).body;
        assert_eq!(login["user"]["email"], server.facts.owner.email);
        let mail = server.mail_to(&server.facts.owner.email).await;
        assert!(mail.text.contains("Company"), "{}", mail.text);
        // Not twice, and to nobody else.
        assert_eq!(link(&server, &client, &provider, person.clone()).await.expect(409).body["code"], "already_linked");
        let stranger = &server.facts.stranger;
        let (other, _) = server.log_in(&stranger.email, &stranger.password).await;
        assert_eq!(link(&server, &other, &provider, person).await.expect(409).body["code"], "already_linked");
        assert_eq!(other.get(CONNECTIONS).await.expect(200).body, json!([]));
    }

    async fn unconfirmed_addresses_make_no_account(server: Server, |config| { double::add(config); }) {
        let provider = double::of(&server, "double");
        let before = count_users(&server).await;
        for claims in [
            json!({"sub": "x", "email": "new@example.org", "email_verified": false}),
            json!({"sub": "x", "email": "new@example.org"}),
            // Whether the address is taken can't be told.
            json!({"sub": "x", "email": server.facts.owner.email, "email_verified": false}),
            json!({"sub": "x"}),
            json!({"sub": "x", "email": "no address", "email_verified": true}),
        ] {
            let refused = log_in(&server, &provider, claims.clone()).await.expect(403).body;
            assert_eq!(refused["code"], "email_not_verified", "{claims}");
        }
        assert_eq!(count_users(&server).await, before);
        // What the ID token leaves out may be in the user info, of the same subject.
        provider.user_info(json!({"sub": "y", "email": "new@example.org", "email_verified": true}));
        assert_eq!(log_in(&server, &provider, json!({"sub": "x"})).await.expect(401).body["code"], "invalid_code");
        let login = log_in(&server, &provider, json!({"sub": "y"})).await.expect(200).body;
        assert_eq!(login["user"]["email"], "new@example.org");
    }

    async fn who_only_claimed_an_address_loses_what_they_attached(server: Server, |config| {
        double::add(config);
        config.auth.email_verification = false;
    }) {
        let provider = double::of(&server, "double");
        let client = server.anonymous();
        // Somebody registers the address of another and waits, with a login of their own attached.
        let claimed = json!({"email": "victim@example.org", "password": "Waiting-Here-1", "first_name": "M",
            "last_name": "E", "accept_terms": true});
        let opened = client.post("/v1/auth/register", &claimed).await.expect(201).body;
        let waiting = server.client(text(&opened, "access"));
        link(&server, &waiting, &provider, json!({"sub": "m"})).await.expect(201);
        log_in(&server, &provider, json!({"sub": "m"})).await.expect(200);
        // The one who reads the mailbox comes.
        let asked = json!({"email": "victim@example.org", "method": "code"});
        let asked = client.post("/v1/auth/passwordless/request", &asked).await.expect(202).body;
        let mail = server.mail_to("victim@example.org").await;
        let digits: Vec<&str> = mail.text.split(|c: char| !c.is_ascii_digit()).filter(|word| word.len() == 6).collect();
        let shown = json!({"challenge_id": asked["challenge_id"], "code": digits[0]});
        let login = client.post("/v1/auth/passwordless/verify", &shown).await.expect(200).body;
        let victim = server.client(text(&login, "access"));
        assert_eq!(victim.get(CONNECTIONS).await.expect(200).body, json!([]));
        assert_eq!(log_in(&server, &provider, json!({"sub": "m"})).await.expect(403).body["code"], "email_not_verified");
    }

    async fn a_second_factor_is_asked_for(server: Server, |config| { double::add(config); }) {
        let provider = double::of(&server, "double");
        let user = log_in(&server, &provider, ada()).await.expect(200).body["user"]["id"].as_str().unwrap().to_owned();
        let user: kernel::access::UserId = user.parse().unwrap();
        server.app.store().write("test", move |tx| {
            let now = tx.now();
            let row = (mfa_methods::user_id.eq(user), mfa_methods::method.eq("email"), mfa_methods::enabled_at.eq(now),
                mfa_methods::last_step.eq(0_i64), mfa_methods::created.eq(now));
            diesel::insert_into(mfa_methods::table).values(row).execute(tx.conn())?;
            Ok::<_, kernel::http::ApiError>(())
        }).await.unwrap();
        let half = log_in(&server, &provider, ada()).await.expect(200).body;
        assert_eq!((&half["mfa_required"], &half["access"]), (&json!(true), &Value::Null));
    }

    async fn closed_registration_stays_closed(server: Server, |config| {
        double::add(config);
        config.auth.registration = Registration::Closed;
    }) {
        let provider = double::of(&server, "double");
        let refused = log_in(&server, &provider, ada()).await.expect(403).body;
        assert_eq!(refused["code"], "registration_closed");
        let client = owner(&server).await;
        link(&server, &client, &provider, ada()).await.expect(201);
        log_in(&server, &provider, ada()).await.expect(200);
    }

    async fn only_some_domains_may_come_in(server: Server, |config| {
        double::add(config);
        config.auth.oauth.get_mut("double").unwrap().allowed_domains = vec!["example.org".to_owned()];
    }) {
        let provider = double::of(&server, "double");
        log_in(&server, &provider, ada()).await.expect(200);
        let elsewhere = json!({"sub": "e", "email": "eve@evil.example", "email_verified": true});
        let refused = log_in(&server, &provider, elsewhere).await.expect(403).body;
        assert_eq!(refused["code"], "domain_not_allowed");
        // Somebody who has left, though the account here exists.
        let left = json!({"sub": "ada-1", "email": "ada@elsewhere.example", "email_verified": true});
        log_in(&server, &provider, left).await.expect(403);
    }

    async fn lies_are_found_out(server: Server, |config| { double::add(config); }) {
        let provider = double::of(&server, "double");
        for lie in [
            Lie::Nonce, Lie::NoNonce, Lie::Audience, Lie::MoreAudiences, Lie::Issuer, Lie::Unsigned,
            Lie::SignedWithSecret, Lie::Expired, Lie::FromTheFuture, Lie::UnknownKey, Lie::WrongKey,
            Lie::AuthorizedParty, Lie::AccessTokenHash, Lie::NoIdToken, Lie::Subject,
        ] {
            is_refused(&server, &provider, lie, 401, "invalid_code").await;
        }
        for lie in [Lie::Huge, Lie::Broken, Lie::Nonsense] {
            is_refused(&server, &provider, lie, 503, "provider_unavailable").await;
        }
        log_in(&server, &provider, ada()).await.expect(200);
    }

    async fn a_state_counts_once_and_only_where_it_belongs(server: Server, |config| {
        double::add(config);
        double::add_as(config, "other", OauthKind::Oidc, "");
    }) {
        let provider = double::of(&server, "double");
        let client = server.anonymous();
        let gone = |answer: Answer| assert_eq!(answer.expect(401).body["code"], "challenge_expired");
        let mut ways = Vec::new();
        for _ in 0..6 {
            let way = begin(&server, &client, AUTHORIZE, "login").await;
            let code = provider.consent(text(&way, "authorization_url"), ada());
            ways.push(json!({"code": code, "state": way["state"]}));
        }
        let exchanged = provider.token_requests();
        gone(client.post(CALLBACK, &json!({"code": "x", "state": "never-was"})).await);
        // At another provider: then it is used up too.
        gone(client.post("/v1/auth/oauth/other/callback", &ways[0]).await);
        gone(client.post(CALLBACK, &ways[0]).await);
        // Another page than the one it began with.
        ways[1]["redirect_uri"] = json!("https://evil.example/");
        gone(client.post(CALLBACK, &ways[1]).await);
        // A login's state links nothing.
        let someone = owner(&server).await;
        assert!(someone.post(LINK, &ways[2]).await.expect(400).body["state"].is_array());
        // Late.
        server.clock.advance(Duration::from_mins(11));
        gone(client.post(CALLBACK, &ways[3]).await);
        assert_eq!(provider.token_requests(), exchanged, "no code was sent anywhere");
        // Another user's link.
        let someone = owner(&server).await;
        let way = begin(&server, &someone, AUTHORIZE, "link").await;
        let code = provider.consent(text(&way, "authorization_url"), ada());
        let stranger = &server.facts.stranger;
        let (other, _) = server.log_in(&stranger.email, &stranger.password).await;
        let body = json!({"code": code, "state": way["state"]});
        assert!(other.post(LINK, &body).await.expect(400).body["state"].is_array());
        gone(client.post(CALLBACK, &body).await);
        assert!(someone.post(LINK, &body).await.expect(400).body["state"].is_array());
    }

    async fn of_many_at_once_one_gets_in(server: Server, |config| { double::add(config); }) {
        let provider = double::of(&server, "double");
        let client = server.anonymous();
        let way = begin(&server, &client, AUTHORIZE, "login").await;
        let code = provider.consent(text(&way, "authorization_url"), ada());
        let body = json!({"code": code, "state": way["state"]});
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (client, body) = (client.clone(), body.clone());
            tries.spawn(async move { client.post(CALLBACK, &body).await.status });
        }
        let mut statuses = tries.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401, 401, 401, 401, 401, 401, 401]);
        assert_eq!(provider.token_requests(), 1);
        // Many first logins of one person make one account.
        let before = count_users(&server).await;
        let grace = json!({"sub": "grace", "email": "grace@example.org", "email_verified": true});
        let all = tokio::join!(log_in(&server, &provider, grace.clone()), log_in(&server, &provider, grace.clone()),
            log_in(&server, &provider, grace.clone()), log_in(&server, &provider, grace));
        for answer in [all.0, all.1, all.2, all.3] {
            answer.expect(200);
        }
        assert_eq!(count_users(&server).await, before + 1);
    }

    async fn a_way_must_begin_well(server: Server, |config| {
        double::add(config);
        double::add_as(config, "closed", OauthKind::Oidc, "");
        config.auth.oauth.get_mut("closed").unwrap().login_enabled = false;
        config.auth.recent_minutes = 5;
        config.auth.redirect_uris = vec!["https://console.example.org/back".to_owned()];
    }) {
        let client = server.anonymous();
        for page in ["https://evil.example/", "https://console.example.org/back/", "https://console.example.org/back?x",
            "https://console.example.org/Back"] {
            let faults = client.post(AUTHORIZE, &json!({"redirect_uri": page})).await.expect(400).body;
            assert!(faults["redirect_uri"].is_array(), "{page}: {faults}");
        }
        client.post(AUTHORIZE, &json!({"redirect_uri": "https://console.example.org/back"})).await.expect(200);
        let own = json!({"redirect_uri": format!("{}/double", page(&server))});
        client.post(AUTHORIZE, &own).await.expect(200);
        client.post("/v1/auth/oauth/closed/authorize", &own).await.expect(404);
        client.post("/v1/auth/oauth/nowhere/authorize", &own).await.expect(404);
        client.post("/v1/auth/oauth/%FF/callback", &json!({})).await.expect(404);
        client.post(AUTHORIZE, &json!({"redirect_uri": page(&server), "intent": "steal"})).await.expect(400);
        let linking = json!({"redirect_uri": page(&server), "intent": "link"});
        client.post(AUTHORIZE, &linking).await.expect(401);
        server.client("garbage").post(AUTHORIZE, &own).await.expect(401);
        server.owner().post(AUTHORIZE, &linking).await.expect(403);
        let someone = owner(&server).await;
        let way = someone.post(AUTHORIZE, &linking).await.expect(200).body;
        assert_eq!(way["expires_in"], 600);
        server.clock.advance(Duration::from_mins(6));
        assert_eq!(someone.post(AUTHORIZE, &linking).await.expect(403).body["code"], "reauthentication_required");
        let late = json!({"code": "x", "state": way["state"]});
        assert_eq!(someone.post(LINK, &late).await.expect(403).body["code"], "reauthentication_required");
        let path = format!("{CONNECTIONS}/018f0000-0000-7000-8000-00000000dead");
        assert_eq!(someone.delete(&path).await.expect(403).body["code"], "reauthentication_required");
    }

    async fn the_last_way_to_log_in_stays(server: Server, |config| {
        double::add(config);
        config.auth.passwordless.clear();
    }) {
        let provider = double::of(&server, "double");
        let login = log_in(&server, &provider, ada()).await.expect(200).body;
        let client = server.client(text(&login, "access"));
        let connections = client.get(CONNECTIONS).await.expect(200).body;
        let only = format!("{CONNECTIONS}/{}", text(&connections[0], "id"));
        assert_eq!(client.delete(&only).await.expect(409).body["code"], "last_login_method");
        assert_eq!(client.get(CONNECTIONS).await.expect(200).body, connections);
        // Somebody else's is not there.
        owner(&server).await.delete(&only).await.expect(404);
        // With a second one either may go, but not both, not even at once.
        let second = json!({"sub": "ada-2"});
        let second = link(&server, &client, &provider, second).await.expect(201).body;
        let second = format!("{CONNECTIONS}/{}", text(&second, "id"));
        let (one, two) = tokio::join!(client.delete(&only), client.delete(&second));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409]);
        let mail = server.mail_to("ada@example.org").await;
        assert!(mail.text.contains("Company"), "{}", mail.text);
        // A password counts.
        let someone = owner(&server).await;
        let linked = link(&server, &someone, &provider, json!({"sub": "o-1"})).await.expect(201).body;
        let linked = format!("{CONNECTIONS}/{}", text(&linked, "id"));
        someone.delete(&linked).await.expect(204);
        someone.delete(&linked).await.expect(404);
        let events = someone.get("/v1/auth/security-events?event=oauth_unlinked").await.expect(200).body;
        assert_eq!(events["count"], 1, "{events}");
        log_in(&server, &provider, json!({"sub": "o-1"})).await.expect(403);
    }

    async fn keys_rotate_and_forgeries_cost_little(server: Server, |config| { double::add(config); }) {
        let provider = double::of(&server, "double");
        log_in(&server, &provider, ada()).await.expect(200);
        assert_eq!(provider.key_requests(), 1);
        provider.lie(Lie::UnknownKey);
        for _ in 0..3 {
            log_in(&server, &provider, ada()).await.expect(401);
        }
        assert_eq!(provider.key_requests(), 1);
        provider.lie(Lie::None);
        provider.rotate_key();
        server.clock.advance(Duration::from_secs(6));
        log_in(&server, &provider, ada()).await.expect(200);
        assert_eq!(provider.key_requests(), 2);
        // The provider's clock stands still: its tokens are over by now, but it is asked anew first.
        server.clock.advance(Duration::from_hours(2));
        log_in(&server, &provider, ada()).await.expect(401);
        assert_eq!(provider.key_requests(), 3);
    }

    async fn a_provider_that_is_down_disturbs_nothing(server: Server, |config| { double::add(config); }) {
        let provider = double::of(&server, "double");
        let client = server.anonymous();
        let body = json!({"redirect_uri": page(&server)});
        for lie in [Lie::Broken, Lie::Redirect] {
            provider.lie(lie);
            let away = client.post(AUTHORIZE, &body).await.expect(503);
            assert_eq!((text(&away.body, "code"), away.header("retry-after")), ("provider_unavailable", "5"));
            owner(&server).await.get("/v1/auth/me").await.expect(200);
            server.clock.advance(Duration::from_secs(6));
        }
        provider.lie(Lie::None);
        client.post(AUTHORIZE, &body).await.expect(200);
    }

    async fn answers_say_whose_they_are(server: Server, |config| {
        double::add(config);
        double::add_as(config, "other", OauthKind::Oidc, "");
    }) {
        let provider = double::of(&server, "double");
        provider.announce_iss();
        let client = server.anonymous();
        for (iss, page, status) in [
            (Some("https://evil.example"), page(&server), 401),
            (None, page(&server), 401),
            (Some(provider.base.as_str()), page(&server), 200),
            // Nobody else knows this page.
            (None, format!("{}/double", page(&server)), 200),
        ] {
            let exchanged = provider.token_requests();
            let way = client.post(AUTHORIZE, &json!({"redirect_uri": page})).await.expect(200).body;
            let code = provider.consent(text(&way, "authorization_url"), ada());
            let mut body = json!({"code": code, "state": way["state"]});
            if let Some(iss) = iss {
                body["iss"] = json!(iss);
            }
            client.post(CALLBACK, &body).await.expect(status);
            assert_eq!(provider.token_requests() - exchanged, u32::from(status == 200), "{iss:?}");
        }
    }

    async fn github_says_who_it_is_by_its_api(server: Server, |config| {
        double::add_as(config, "double", OauthKind::Github, "");
    }) {
        let provider = double::of(&server, "double");
        let account = json!({"id": 583_231, "login": "octocat", "name": "The Octocat"});
        provider.emails(json!([{"email": "octocat@example.org", "primary": true, "verified": false},
            {"email": "other@example.org", "primary": false, "verified": true}]));
        let refused = log_in(&server, &provider, account.clone()).await.expect(403).body;
        assert_eq!(refused["code"], "email_not_verified");
        provider.emails(json!([{"email": "octocat@example.org", "primary": true, "verified": true}]));
        let login = log_in(&server, &provider, account.clone()).await.expect(200).body;
        assert_eq!((text(&login["user"], "email"), text(&login["user"], "name")), ("octocat@example.org", "The Octocat"));
        let client = server.client(text(&login, "access"));
        assert_eq!(client.get(CONNECTIONS).await.expect(200).body[0]["provider_user_id"], "583231");
        let way = begin(&server, &client, AUTHORIZE, "login").await;
        let wrong = json!({"code": "never-given", "state": way["state"]});
        assert_eq!(client.post(CALLBACK, &wrong).await.expect(401).body["code"], "invalid_code");
        provider.emails(json!({"message": "a fault"}));
        assert_eq!(log_in(&server, &provider, account).await.expect(503).body["code"], "provider_unavailable");
    }

    async fn microsofts_tenants_are_kept_apart(server: Server, |config| {
        double::add_as(config, "double", OauthKind::Microsoft, "/common/v2.0");
    }) {
        let provider = double::of(&server, "double");
        let template = provider.base.replace("common", "{tenantid}");
        provider.serve_tenants(&template);
        let person = json!({"sub": "m", "tid": TENANT, "email": "m@example.org", "email_verified": true, "name": "M"});
        // Whatever the tenant says of the address, its domain is not Microsoft's word.
        assert_eq!(log_in(&server, &provider, person.clone()).await.expect(403).body["code"], "email_not_verified");
        let vouched = json!({"sub": "m", "tid": TENANT, "email": "m@example.org", "xms_edov": "1"});
        let login = log_in(&server, &provider, vouched.clone()).await.expect(200).body;
        assert_eq!(login["user"]["email"], "m@example.org");
        for tid in [json!(null), json!("common"), json!("../x")] {
            let mut forged = vouched.clone();
            forged["tid"] = tid;
            log_in(&server, &provider, forged).await.expect(401);
        }
        // A tenant that names another one.
        let mut forged = vouched.clone();
        forged["iss"] = json!(template.replace("{tenantid}", "11111111-2222-3333-4444-555555555555"));
        log_in(&server, &provider, forged).await.expect(401);
        // A key that is for one tenant only signs for no other.
        provider.serve_tenants(&template.replace("{tenantid}", "11111111-2222-3333-4444-555555555555"));
        server.clock.advance(Duration::from_secs(60 * 61));
        provider.catch_up(&server);
        log_in(&server, &provider, vouched).await.expect(401);
    }
}

/// The one that takes its time: ten seconds, so on one database only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_forever() {
    let server = Server::start(testkit::Engine::Sqlite, double::add).await;
    let provider = double::of(&server, "double");
    provider.lie(Lie::Slow);
    let began = std::time::Instant::now();
    let late = log_in(&server, &provider, ada()).await.expect(503).body;
    assert_eq!(late["code"], "provider_unavailable");
    assert!(began.elapsed() < Duration::from_secs(20));
    let connections = server.app.store().read("test", |conn| {
        Ok::<i64, kernel::store::StoreError>(oauth_connections::table.count().get_result(conn)?)
    });
    assert_eq!(connections.await.unwrap(), 0);
}
