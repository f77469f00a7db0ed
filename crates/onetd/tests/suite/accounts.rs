//! Accounts from registration to deletion, through the mails that they take.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Client, Server, on_both};

const NEW: &str = "Grace.Hopper@Example.org";
const PASSWORD: &str = "Cobol-Compiler-59";

fn form(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "first_name": "Grace", "last_name": "Hopper",
        "language": "fr", "accept_terms": true})
}

/// The token of a mail's first link.
async fn token_for(server: &Server, address: &str) -> String {
    let mail = server.mail_to(address).await;
    let link = mail.links()[0].to_owned();
    link.split_once("token=")
        .expect("a link with a token")
        .1
        .to_owned()
}

/// Registers, follows the link, and returns the client and the answer of the verification.
async fn registered(server: &Server, email: &str) -> (Client, Value) {
    let client = server.anonymous();
    client.post("/v1/auth/register", &form(email)).await.expect(201);
    let token = token_for(server, email).await;
    let answer = client
        .post("/v1/auth/email/verify", &json!({"token": token}))
        .await
        .expect(200)
        .body;
    (
        server.client(answer["access"].as_str().expect("a session")),
        answer,
    )
}

async fn log_in(server: &Server, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    server.anonymous().post("/v1/auth/login", &body).await
}

/// Logs in from another address, as a proxy tells it.
async fn log_in_from(
    server: &Server,
    address: &str,
    email: &str,
    password: &str,
    device: Option<&str>,
) -> Answer {
    let body =
        json!({"email": email, "password": password, "trusted_device_token": device.unwrap_or_default()});
    let headers = [("x-forwarded-for", address)];
    let body = if device.is_some() {
        body
    } else {
        json!({"email": email, "password": password})
    };
    server
        .anonymous()
        .send(Method::POST, "/v1/auth/login", &headers, Some(body.to_string()))
        .await
}

on_both! {
    async fn a_registration_is_confirmed_by_mail(server: Server) {
        let client = server.anonymous();
        let made = client.post("/v1/auth/register", &form(NEW)).await.expect(201).body;
        assert_eq!(made["verification_required"], true);
        assert_eq!((&made["access"], &made["refresh"]), (&Value::Null, &Value::Null));
        assert_eq!(made["user"]["email"], NEW);
        assert_eq!(made["user"]["email_verified"], false);
        let early = log_in(&server, NEW, PASSWORD).await.expect(403);
        assert_eq!(early.body["code"], "email_not_verified");
        let mail = server.mail_to(NEW).await;
        assert!(mail.subject.contains("onfirmez"), "in French: {}", mail.subject);
        let code = mail.code().expect("a code").to_owned();
        let wrong = if code == "000000" { "000001" } else { "000000" };
        let verify = |code: &str| json!({"email": NEW.to_lowercase(), "code": code});
        let refused = client.post("/v1/auth/email/verify", &verify(wrong)).await.expect(400).body;
        assert!(refused["code"].is_array(), "{refused}");
        let opened = client.post("/v1/auth/email/verify", &verify(&code)).await.expect(200).body;
        client.post("/v1/auth/email/verify", &verify(&code)).await.expect(410);
        let own = server.client(opened["access"].as_str().unwrap());
        let organizations = own.get("/v1/organizations").await.expect(200).body;
        assert_eq!(organizations.as_array().unwrap().len(), 1);
        assert_eq!(organizations[0]["name"], "Grace Hopper");
        assert_eq!(organizations[0]["project_count"], 1);
        log_in(&server, &NEW.to_uppercase(), PASSWORD).await.expect(200);
        assert!(server.mail_to(NEW).await.text.contains("Grace"), "a welcome by name");
    }

    async fn a_taken_address_looks_free_and_its_owner_is_told(server: Server) {
        let client = server.anonymous();
        let owner = server.facts.owner.email.clone();
        let free = client.post("/v1/auth/register", &form(NEW)).await.expect(201).body;
        let taken = client.post("/v1/auth/register", &form(&owner.to_uppercase())).await.expect(201).body;
        let shape = |body: &Value| -> Vec<(String, bool)> {
            body["user"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.is_null())).collect()
        };
        assert_eq!(shape(&free), shape(&taken));
        for field in ["verification_required", "access", "refresh", "expires_in"] {
            assert_eq!(free[field], taken[field], "{field}");
        }
        for field in ["has_password", "mfa_enabled", "is_active", "email_verified", "last_login"] {
            assert_eq!(free["user"][field], taken["user"][field], "{field}");
        }
        assert!(server.mail_to(&owner).await.links()[0].ends_with("/account/login"));
        // The password of whoever tried does not open the account.
        log_in(&server, &owner, PASSWORD).await.expect(401);
    }

    async fn bad_registrations_name_their_faults(server: Server, |config| { config.auth.terms_url = "https://example.org/terms".to_owned(); }) {
        let client = server.anonymous();
        let faults = client.post("/v1/auth/register", &json!({})).await.expect(400).body;
        for field in ["email", "password", "first_name", "last_name", "accept_terms"] {
            assert_eq!(faults[field], json!(["This field is required."]), "{field}");
        }
        let mut body = form("no address");
        body["password"] = json!("short");
        client.post("/v1/auth/register", &body).await.expect(400);
        let mut body = form(NEW);
        body["password"] = json!("Password1");
        body["accept_terms"] = json!(false);
        let faults = client.post("/v1/auth/register", &body).await.expect(400).body;
        assert_eq!(faults["password"], json!(["This password is too common."]));
        assert!(faults["accept_terms"].is_array(), "{faults}");
        let mut body = form(NEW);
        body["password"] = json!("Aa1".to_owned() + &"x".repeat(200_000));
        client.post("/v1/auth/register", &body).await.expect(400);
        assert!(server.mails().await.is_empty(), "nothing was made");
    }

    async fn closed_installations_take_nobody(server: Server, |config| { config.auth.registration = kernel::config::Registration::Closed; }) {
        let refused = server.anonymous().post("/v1/auth/register", &form(NEW)).await.expect(403);
        assert_eq!(refused.body["code"], "registration_closed");
        let options = server.anonymous().get("/v1/auth/config").await.expect(200).body;
        assert_eq!(options["registration_enabled"], false);
        assert_eq!(options["password_policy"]["min_length"], 8);
    }

    async fn without_verification_a_registration_is_a_login(server: Server, |config| { config.auth.email_verification = false; }) {
        let client = server.anonymous();
        let made = client.post("/v1/auth/register", &form(NEW)).await.expect(201).body;
        assert_eq!(made["verification_required"], false);
        server.client(made["access"].as_str().unwrap()).get("/v1/auth/me").await.expect(200);
        let again = client.post("/v1/auth/register", &form(NEW)).await.expect(400).body;
        assert!(again["email"].is_array(), "{again}");
    }

    async fn mails_are_sent_again_but_not_at_once(server: Server) {
        let client = server.anonymous();
        client.post("/v1/auth/register", &form(NEW)).await.expect(201);
        let first = token_for(&server, NEW).await;
        let again = |email: &str| json!({"email": email});
        let early = client.post("/v1/auth/email/resend", &again(NEW)).await.expect(429);
        assert!(early.header("retry-after").parse::<u64>().unwrap() <= 60);
        server.clock.advance(Duration::from_secs(61));
        client.post("/v1/auth/email/resend", &again(NEW)).await.expect(202);
        let second = token_for(&server, NEW).await;
        assert_ne!(first, second);
        client.post("/v1/auth/email/verify", &json!({"token": first})).await.expect(410);
        client.post("/v1/auth/email/verify", &json!({"token": second})).await.expect(200);
        // An address that awaits nothing, and one that is nobody's, get the same answer and no mail.
        let before = server.mails().await.len();
        for email in [server.facts.owner.email.as_str(), "nobody@example.com"] {
            client.post("/v1/auth/email/resend", &again(email)).await.expect(202);
        }
        assert_eq!(server.mails().await.len(), before);
    }

    async fn links_end_and_serve_their_purpose_only(server: Server) {
        let client = server.anonymous();
        client.post("/v1/auth/register", &form(NEW)).await.expect(201);
        let token = token_for(&server, NEW).await;
        let reset = json!({"token": token, "new_password": "Another-Pass-1"});
        client.post("/v1/auth/password/reset/confirm", &reset).await.expect(410);
        client.post("/v1/auth/passwordless/verify", &json!({"token": token})).await.expect(410);
        client.post("/v1/auth/email/change/confirm", &json!({"token": token})).await.expect(410);
        client.post("/v1/auth/token/refresh", &json!({"refresh": token})).await.expect(401);
        server.clock.advance(Duration::from_hours(25));
        client.post("/v1/auth/email/verify", &json!({"token": token})).await.expect(410);
        client.post("/v1/auth/email/verify", &json!({})).await.expect(400);
        client.post("/v1/auth/email/verify", &json!({"email": NEW})).await.expect(400);
    }

    async fn a_code_opens_once_and_bears_five_guesses(server: Server) {
        let (_, _) = registered(&server, NEW).await;
        let client = server.anonymous();
        let asked = client.post("/v1/auth/passwordless/request", &json!({"email": NEW})).await.expect(202).body;
        assert_eq!(asked["method"], "code");
        let unknown = client.post("/v1/auth/passwordless/request", &json!({"email": "x@example.com"})).await.expect(202).body;
        let code = server.mail_to(NEW).await.code().unwrap().to_owned();
        let shown = |id: &Value, code: &str| json!({"challenge_id": id, "code": code});
        let verify = async |body: Value| client.post("/v1/auth/passwordless/verify", &body).await;
        verify(shown(&unknown["challenge_id"], &code)).await.expect(400);
        // Of many with the right code at once, one is let in.
        let tries = (0..8).map(|_| verify(shown(&asked["challenge_id"], &code)));
        let outcomes: Vec<u16> = futures_of(tries).await;
        assert_eq!(outcomes.iter().filter(|status| **status == 200).count(), 1, "{outcomes:?}");
        server.clock.advance(Duration::from_mins(20));
        let asked = client.post("/v1/auth/passwordless/request", &json!({"email": NEW})).await.expect(202).body;
        let code = server.mail_to(NEW).await.code().unwrap().to_owned();
        let wrong = if code == "000000" { "000001" } else { "000000" };
        let mut last = 0;
        for _ in 0..5 {
            last = verify(shown(&asked["challenge_id"], wrong)).await.status;
        }
        assert_eq!(last, 400);
        let refused = verify(shown(&asked["challenge_id"], &code)).await.status;
        assert!([410, 429].contains(&refused), "{refused}");
    }

    async fn a_magic_link_leads_where_it_may(server: Server, |config| { config.auth.redirect_uris = vec!["https://app.example.org/in?x=1".to_owned()]; }) {
        let client = server.anonymous();
        let owner = server.facts.owner.email.clone();
        let ask = |uri: &str| json!({"email": owner, "method": "magic_link", "redirect_uri": uri});
        for uri in ["https://evil.example.org/", "https://app.example.org/in?x=12", "https://app.example.org/in"] {
            client.post("/v1/auth/passwordless/request", &ask(uri)).await.expect(400);
        }
        client.post("/v1/auth/passwordless/request", &ask("https://app.example.org/in?x=1")).await.expect(202);
        let mail = server.mail_to(&owner).await;
        let link = mail.links()[0].to_owned();
        assert!(link.starts_with("https://app.example.org/in?x=1&token="), "{link}");
        let token = link.split_once("token=").unwrap().1;
        let body = json!({"token": token, "remember_me": true});
        let opened = client.post("/v1/auth/passwordless/verify", &body).await.expect(200).body;
        assert_eq!(opened["refresh_expires_in"], 30 * 24 * 60 * 60);
        client.post("/v1/auth/passwordless/verify", &body).await.expect(410);
        let own = server.client(opened["access"].as_str().unwrap());
        let sessions = own.get("/v1/auth/sessions").await.expect(200).body;
        assert_eq!(sessions[0]["auth_method"], "passwordless");
        assert_eq!(sessions[0]["is_current"], true);
    }

    async fn a_mailed_login_takes_an_unconfirmed_account_from_who_guessed_it(server: Server) {
        // Somebody registers the victim's address with a password of their own, and the victim logs in by mail.
        let client = server.anonymous();
        client.post("/v1/auth/register", &form(NEW)).await.expect(201);
        client.post("/v1/auth/passwordless/request", &json!({"email": NEW, "method": "code"})).await.expect(202);
        let mails = server.mails().await;
        let code = mails.iter().rev().find_map(|mail| mail.subject.contains("connexion").then(|| mail.code()).flatten());
        let asked_code = code.expect("a login code").to_owned();
        let id = client.post("/v1/auth/passwordless/request", &json!({"email": NEW, "method": "code"})).await;
        assert_eq!(id.status, 429);
        server.clock.advance(Duration::from_secs(61));
        let asked = client.post("/v1/auth/passwordless/request", &json!({"email": NEW, "method": "code"})).await.expect(202).body;
        let code = server.mail_to(NEW).await.code().unwrap().to_owned();
        assert!(asked_code.len() == 6 && code.len() == 6);
        let body = json!({"challenge_id": asked["challenge_id"], "code": code});
        let opened = client.post("/v1/auth/passwordless/verify", &body).await.expect(200).body;
        assert_eq!(opened["user"]["has_password"], false);
        log_in(&server, NEW, PASSWORD).await.expect(401);
    }

    async fn a_forgotten_password_is_replaced(server: Server) {
        let (own, _) = registered(&server, NEW).await;
        let client = server.anonymous();
        for email in [NEW, "nobody@example.com"] {
            let answer = client.post("/v1/auth/password/reset", &json!({"email": email})).await.expect(202);
            assert_eq!(answer.body, json!({"detail": "If there is an account with this address, a mail is on its way."}));
        }
        let token = token_for(&server, NEW).await;
        client.post("/v1/auth/password/reset/validate", &json!({"token": token})).await.expect(200);
        client.post("/v1/auth/password/reset/validate", &json!({"token": "x"})).await.expect(410);
        let confirm = |password: &str, again: &str| json!({"token": token, "new_password": password, "new_password_confirm": again});
        client.post("/v1/auth/password/reset/confirm", &confirm("weakweak", "weakweak")).await.expect(400);
        let unequal = client.post("/v1/auth/password/reset/confirm", &confirm("Fortran-Is-57", "Fortran-Is-58")).await.expect(400);
        assert!(unequal.body["new_password_confirm"].is_array());
        client.post("/v1/auth/password/reset/confirm", &confirm("Fortran-Is-57", "Fortran-Is-57")).await.expect(200);
        client.post("/v1/auth/password/reset/confirm", &confirm("Fortran-Is-57", "Fortran-Is-57")).await.expect(410);
        own.get("/v1/auth/me").await.expect(401);
        log_in(&server, NEW, PASSWORD).await.expect(401);
        log_in(&server, NEW, "Fortran-Is-57").await.expect(200);
        let mails = server.mails().await;
        assert!(mails.iter().all(|mail| mail.to != "nobody@example.com"));
        let kept = json!(token).to_string();
        assert!(!mails.last().unwrap().text.contains(&kept));
    }

    async fn a_password_is_changed_by_who_knows_it(server: Server) {
        let (own, _) = registered(&server, NEW).await;
        let other = log_in(&server, NEW, PASSWORD).await.expect(200).body;
        let other = server.client(other["access"].as_str().unwrap());
        let change = |current: &str, new: &str| json!({"current_password": current, "new_password": new});
        let wrong = own.post("/v1/auth/password/change", &change("Wrong-Guess-1", "Fortran-Is-57")).await.expect(400);
        assert!(wrong.body["current_password"].is_array());
        own.post("/v1/auth/password/change", &json!({"new_password": "Fortran-Is-57"})).await.expect(400);
        own.post("/v1/auth/password/change", &change(PASSWORD, PASSWORD)).await.expect(400);
        let changed = own.post("/v1/auth/password/change", &change(PASSWORD, "Fortran-Is-57")).await.expect(200).body;
        assert_eq!(changed["revoked_sessions"], 1);
        own.get("/v1/auth/me").await.expect(200);
        other.get("/v1/auth/me").await.expect(401);
        log_in(&server, NEW, "Fortran-Is-57").await.expect(200);
        let events = own.get("/v1/auth/security-events?event=password_changed").await.expect(200).body;
        assert_eq!(events["count"], 1);
        assert_eq!(events["results"][0]["metadata"]["revoked_sessions"], 1);
        assert!(server.mails().await.iter().any(|mail| mail.subject.contains("mot de passe")), "the user is told");
    }

    async fn an_address_is_changed_from_the_new_mailbox(server: Server) {
        let (own, _) = registered(&server, NEW).await;
        let new = "amazing.grace@example.net";
        let same = own.post("/v1/auth/email/change", &json!({"new_email": NEW.to_uppercase()})).await.expect(409);
        assert_eq!(same.body["code"], "email_unchanged");
        own.delete("/v1/auth/email/change").await.expect(404);
        own.post("/v1/auth/email/change", &json!({"new_email": new})).await.expect(202);
        let notice = server.mail_to(NEW).await;
        assert!(!notice.text.contains(new), "the old mailbox learns only the beginning of the new address");
        let mail = server.mail_to(new).await;
        let (token, code) = (mail.links()[0].split_once("token=").unwrap().1.to_owned(), mail.code().unwrap().to_owned());
        server.anonymous().post("/v1/auth/email/change/confirm", &json!({"code": code})).await.expect(401);
        let stranger = server.log_in(&server.facts.stranger.email, &server.facts.stranger.password).await.0;
        stranger.post("/v1/auth/email/change/confirm", &json!({"code": code})).await.expect(410);
        let changed = server.anonymous().post("/v1/auth/email/change/confirm", &json!({"token": token})).await.expect(200).body;
        assert_eq!((&changed["email"], &changed["pending_email"]), (&json!(new), &Value::Null));
        server.anonymous().post("/v1/auth/email/change/confirm", &json!({"token": token})).await.expect(410);
        log_in(&server, NEW, PASSWORD).await.expect(401);
        log_in(&server, new, PASSWORD).await.expect(200);
        // Recent authentication is asked for, or the password.
        server.clock.advance(Duration::from_mins(16));
        let later = log_in(&server, new, PASSWORD).await.expect(200).body;
        let later = server.client(later["access"].as_str().unwrap());
        server.clock.advance(Duration::from_mins(14));
        later.post("/v1/auth/email/change", &json!({"new_email": "a@example.net"})).await.expect(202);
        later.delete("/v1/auth/email/change").await.expect(204);
    }

    async fn a_new_address_that_is_taken_is_not_given_away(server: Server) {
        let (own, _) = registered(&server, NEW).await;
        let taken = server.facts.owner.email.clone();
        let free = own.post("/v1/auth/email/change", &json!({"new_email": "free@example.net"})).await.expect(202).body;
        let same = own.post("/v1/auth/email/change", &json!({"new_email": taken})).await.expect(202).body;
        assert_eq!(free, same);
        assert!(server.mail_to(&taken).await.links()[0].ends_with("/account/login"));
    }

    async fn sensitive_changes_ask_for_a_recent_login(server: Server) {
        let (_, opened) = registered(&server, NEW).await;
        server.clock.advance(Duration::from_mins(16));
        let refreshed = json!({"refresh": opened["refresh"]});
        let refreshed = server.anonymous().post("/v1/auth/token/refresh", &refreshed).await.expect(200).body;
        let own = server.client(refreshed["access"].as_str().unwrap());
        let refused = own.post("/v1/auth/email/change", &json!({"new_email": "a@example.net"})).await.expect(403);
        assert_eq!(refused.body["code"], "reauthentication_required");
        own.post("/v1/auth/profile/delete", &json!({})).await.expect(403);
        let proof = json!({"new_email": "a@example.net", "current_password": "Wrong-Guess-1"});
        own.post("/v1/auth/email/change", &proof).await.expect(400);
        let proof = json!({"new_email": "a@example.net", "current_password": PASSWORD});
        own.post("/v1/auth/email/change", &proof).await.expect(202);
    }

    async fn sessions_are_seen_and_ended(server: Server) {
        let (own, opened) = registered(&server, NEW).await;
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";
        let body = json!({"email": NEW, "password": PASSWORD}).to_string();
        let other = server.anonymous().send(Method::POST, "/v1/auth/login", &[("user-agent", agent)], Some(body)).await.expect(200).body;
        let list = own.get("/v1/auth/sessions").await.expect(200).body;
        let list = list.as_array().unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!((&list[0]["browser"], &list[0]["operating_system"]), (&json!("Firefox 132"), &json!("Linux")));
        assert_eq!(list[0]["device_type"], "desktop");
        assert!(list.iter().any(|session| session["id"] == opened["session_id"] && session["is_current"] == true));
        assert!(server.mails().await.iter().any(|mail| mail.text.contains("Firefox")), "a new device is told of");
        let path = format!("/v1/auth/sessions/{}", other["session_id"].as_str().unwrap());
        let stranger = server.log_in(&server.facts.stranger.email, &server.facts.stranger.password).await.0;
        stranger.get(&path).await.expect(404);
        stranger.delete(&path).await.expect(404);
        own.get(&path).await.expect(200);
        own.delete(&path).await.expect(204);
        own.get(&path).await.expect(404);
        own.delete(&path).await.expect(404);
        server.client(other["access"].as_str().unwrap()).get("/v1/auth/me").await.expect(401);
        for _ in 0..3 {
            log_in(&server, NEW, PASSWORD).await.expect(200);
        }
        let ended = own.post("/v1/auth/sessions/revoke-others", &json!({})).await.expect(200).body;
        assert_eq!(ended["revoked"], 3);
        own.get("/v1/auth/me").await.expect(200);
        let events = own.get("/v1/auth/security-events?page_size=100").await.expect(200).body;
        let of = |kind: &str| events["results"].as_array().unwrap().iter().filter(|event| event["event"] == kind).count();
        assert_eq!((of("login_succeeded"), of("session_revoked")), (5, 4));
        own.get("/v1/auth/security-events?event=nonsense").await.expect(400);
    }

    async fn guesses_from_everywhere_do_not_lock_the_user_out(server: Server, |config| {
        config.server.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.limits.login_failures_anywhere = 20;
    }) {
        let (_, _) = registered(&server, NEW).await;
        log_in_from(&server, "198.51.100.7", NEW, PASSWORD, None).await.expect(200);
        let mut locked = 0;
        for guess in 0..40 {
            let address = format!("203.0.113.{guess}");
            let refused = log_in_from(&server, &address, NEW, "Wrong-Guess-1", None).await;
            locked += usize::from(refused.status == 429 && refused.header("retry-after").parse::<u64>().is_ok());
        }
        assert_eq!(locked, 20);
        // The right password from a strange place gets the same answer; the user's own place does not.
        log_in_from(&server, "203.0.113.200", NEW, PASSWORD, None).await.expect(429);
        let own = log_in_from(&server, "198.51.100.7", NEW, PASSWORD, None).await.expect(200).body;
        let own = server.client(own["access"].as_str().unwrap());
        let events = own.get("/v1/auth/security-events?event=account_locked").await.expect(200).body;
        assert_eq!(events["count"], 1, "told once");
        // An account that does not exist is locked the same.
        for guess in 0..20 {
            log_in_from(&server, &format!("203.0.113.{guess}"), "x@example.com", "Wrong-Guess-1", None).await.expect(401);
        }
        log_in_from(&server, "203.0.113.99", "x@example.com", "Wrong-Guess-1", None).await.expect(429);
    }

    async fn an_account_is_deleted_after_a_pause(server: Server) {
        let (own, _) = registered(&server, NEW).await;
        let key = json!({"name": "k", "scopes": ["account:read"]});
        let key = own.post("/v1/auth/api-keys", &key).await.expect(201).body;
        own.post("/v1/auth/profile/delete", &json!({"reason": "moving"})).await.expect(204);
        own.get("/v1/auth/me").await.expect(401);
        server.client(key["key"].as_str().unwrap()).get("/v1/auth/me").await.expect(401);
        // A login takes it back.
        server.clock.advance(Duration::from_hours(24 * 29));
        let back = log_in(&server, NEW, PASSWORD).await.expect(200).body;
        identity::housekeeping(&server.app, &server.onet().identity).await.unwrap();
        let back = server.client(back["access"].as_str().unwrap());
        back.post("/v1/auth/profile/delete", &json!({})).await.expect(204);
        server.clock.advance(Duration::from_hours(24 * 31));
        identity::housekeeping(&server.app, &server.onet().identity).await.unwrap();
        log_in(&server, NEW, PASSWORD).await.expect(401);
        assert!(server.mails().await.len() >= 4, "asked, kept, asked, gone");
        // The address is free again.
        server.anonymous().post("/v1/auth/register", &form(NEW)).await.expect(201);
    }

    async fn a_sole_owner_can_not_leave_others_behind(server: Server) {
        let owner = &server.facts.owner;
        let (own, _) = server.log_in(&owner.email, &owner.password).await;
        let refused = own.post("/v1/auth/profile/delete", &json!({})).await.expect(409);
        assert_eq!(refused.body["code"], "sole_owner");
        own.get("/v1/auth/me").await.expect(200);
    }
}

async fn futures_of(tries: impl Iterator<Item = impl Future<Output = Answer>>) -> Vec<u16> {
    let mut running: Vec<_> = tries.map(Box::pin).collect();
    let mut outcomes = Vec::new();
    // Polled together: each sends its request before any answer is awaited.
    std::future::poll_fn(|context| {
        running.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                outcomes.push(answer.status);
                false
            }
            std::task::Poll::Pending => true,
        });
        if running.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outcomes
}
