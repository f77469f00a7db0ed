//! Mails: posted with a change, sealed at rest, sent by a task, tried again, and never in the way.

use std::time::Duration;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use identity::letters;
use kernel::{
    config::{Config, MailTransport, Secret},
    id::Id,
    language::Language,
    mail::{Letter, Mail, MailRow, MailStatus},
    schema::{mails, tasks},
    store::StoreError,
};
use serde_json::json;
use testkit::{
    Engine, Server, on_both,
    smtp::{self, SmtpServer, Tls},
};

const CODE: &str = "741852";
const URL: &str = "https://console.example.org/verify?token=geheim-geheim";

fn letter(to: &str, language: Language) -> Letter {
    Letter {
        to: to.to_owned(),
        language,
        template: letters::VERIFY_EMAIL,
        values: json!({ "name": "Zoë Müller", "url": URL, "code": CODE }),
    }
}

async fn post(server: &Server, letter: Letter) -> Id<Mail> {
    let mailer = server.app.mailer().clone();
    let posted = server
        .app
        .store()
        .write("test", move |tx| mailer.post(tx, &letter));
    posted.await.unwrap()
}

async fn row(server: &Server, id: Id<Mail>) -> MailRow {
    let found = server.app.store().read("test", move |conn| {
        let row = mails::table.find(id).select(MailRow::as_select());
        Ok::<_, StoreError>(row.first(conn)?)
    });
    found.await.unwrap()
}

async fn count_tasks(server: &Server, id: Id<Mail>) -> i64 {
    let counted = server.app.store().read("test", move |conn| {
        let of_mail = tasks::table.filter(tasks::resource_id.eq(id.cast::<kernel::id::Any>()));
        Ok::<_, StoreError>(of_mail.count().get_result(conn)?)
    });
    counted.await.unwrap()
}

/// Everything of the mail that the database shows, tasks included.
async fn at_rest(server: &Server, id: Id<Mail>) -> String {
    let row = row(server, id).await;
    let all = server.app.store().read("test", move |conn| {
        let all = tasks::table.select((tasks::parameters, tasks::notes, tasks::error_detail));
        Ok::<_, StoreError>(
            all.load::<(kernel::json::JsonText, kernel::json::JsonText, Option<String>)>(conn)?,
        )
    });
    format!("{row:?}{:?}", all.await.unwrap())
}

on_both! {
    async fn a_mail_is_sealed_until_it_is_sent_and_then_erased(server: Server) {
        let id = post(&server, letter("zoe@example.org", Language::Fr)).await;
        let waiting = row(&server, id).await;
        assert_eq!((waiting.status, waiting.attempts), (MailStatus::Pending, 0));
        assert!(waiting.content.is_some());
        let rest = at_rest(&server, id).await;
        assert!(!rest.contains(CODE) && !rest.contains("geheim"), "{rest}");

        let mail = server.mail_to("zoe@example.org").await;
        assert_eq!(mail.subject, "Confirmez votre adresse pour onet");
        assert!(mail.text.starts_with("Bonjour Zoë Müller,\n\nBienvenue\u{a0}!"), "{}", mail.text);
        assert_eq!((mail.links(), mail.code()), (vec![URL], Some(CODE)));
        assert!(mail.html.contains("Zoë Müller") && mail.html.contains("Confirmer mon adresse"));

        let sent = row(&server, id).await;
        assert_eq!((sent.status, sent.attempts, sent.error), (MailStatus::Sent, 1, None));
        assert!(sent.sent_at.is_some() && sent.content.is_none());
        assert_eq!(sent.message_id, format!("<{}>", mail.message_id));
        let rest = at_rest(&server, id).await;
        assert!(!rest.contains(CODE) && !rest.contains("geheim"), "{rest}");
    }

    async fn a_mail_belongs_to_its_transaction(server: Server) {
        let mailer = server.app.mailer().clone();
        let refused = server.app.store().write("test", move |tx| {
            mailer.post(tx, &letter("nobody@example.org", Language::En))?;
            Err::<(), _>(StoreError::Unavailable("rolled back".to_owned()))
        });
        refused.await.unwrap_err();
        assert_eq!(server.mails().await, []);
    }

    async fn tasks_of_mails_are_in_nobodys_list(server: Server) {
        let before = server.owner().get(&server.project("/compute/tasks")).await.expect(200).body;
        let id = post(&server, letter("ada@example.org", Language::En)).await;
        assert_eq!(count_tasks(&server, id).await, 1);
        let after = server.owner().get(&server.project("/compute/tasks")).await.expect(200).body;
        assert_eq!(after, before);
        server.run_tasks().await;
        let after = server.owner().get(&server.project("/compute/tasks")).await.expect(200).body;
        assert_eq!(after, before);
    }

    async fn a_letter_that_can_not_be_written_disturbs_nobody(server: Server) {
        let mut faulty = letter("ada@example.org", Language::En);
        faulty.values = json!({ "name": "Ada", "code": CODE });
        let id = post(&server, faulty).await;
        let kept = row(&server, id).await;
        assert_eq!((kept.status, kept.content), (MailStatus::Failed, None));
        assert!(kept.error.unwrap().contains("undefined"));
        assert_eq!(count_tasks(&server, id).await, 0);
    }

    async fn an_address_that_is_none_fails_once(server: Server) {
        let id = post(&server, letter("not an address", Language::En)).await;
        server.run_tasks().await;
        let kept = row(&server, id).await;
        assert_eq!((kept.status, kept.attempts, kept.content), (MailStatus::Failed, 1, None));
        assert!(kept.error.unwrap().contains("address"));
    }

    async fn without_a_transport_mails_are_noted_as_failed(server: Server, |config| {
        config.mail.transport = MailTransport::Off;
    }) {
        let id = post(&server, letter("ada@example.org", Language::En)).await;
        let kept = row(&server, id).await;
        assert_eq!((kept.status, kept.content), (MailStatus::Failed, None));
        assert!(kept.error.unwrap().contains("mail.transport"));
        assert_eq!(count_tasks(&server, id).await, 0);
    }

    async fn old_mails_are_forgotten(server: Server) {
        let old = post(&server, letter("ada@example.org", Language::En)).await;
        server.run_tasks().await;
        server.clock.advance(Duration::from_hours(24 * 89));
        let new = post(&server, letter("ada@example.org", Language::En)).await;
        assert_eq!(kernel::mail::forget_old(&server.app).await.unwrap(), 0);
        server.clock.advance(Duration::from_hours(24 * 2));
        assert_eq!(kernel::mail::forget_old(&server.app).await.unwrap(), 1);
        assert_eq!((count_tasks(&server, old).await, count_tasks(&server, new).await), (0, 1));
        // What is not sent yet stays, however old.
        server.clock.advance(Duration::from_hours(24 * 200));
        assert_eq!(kernel::mail::forget_old(&server.app).await.unwrap(), 0);
        assert_eq!(row(&server, new).await.status, MailStatus::Pending);
    }

    async fn the_mailbox_page_shows_mails_on_this_machine_only(server: Server, |config| {
        config.mail.mailbox_page = true;
    }) {
        let id = post(&server, letter("ada@example.org", Language::En)).await;
        server.run_tasks().await;
        let get = |path: String| reqwest::Client::new().get(format!("{}{path}", server.base));
        let list = get("/mailbox".to_owned()).send().await.unwrap();
        let policy = list.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        let list = list.text().await.unwrap();
        assert!(list.contains("Confirm your address for onet") && list.contains("ada@example.org"));
        let one = get(format!("/mailbox/{id}")).send().await.unwrap().text().await.unwrap();
        assert!(one.contains("sandbox=") && one.contains(CODE));
        let html = get(format!("/mailbox/{id}/html")).send().await.unwrap();
        assert!(html.headers()["content-security-policy"].to_str().unwrap().contains("sandbox"));
        assert!(html.text().await.unwrap().contains("<base target=\"_blank\">"));
        let json: serde_json::Value = get("/mailbox.json".to_owned()).send().await.unwrap().json().await.unwrap();
        assert_eq!((&json[0]["code"], &json[0]["links"]), (&json!(CODE), &json!([URL])));

        assert_eq!(get(format!("/mailbox/{}", Id::<Mail>::new())).send().await.unwrap().status(), 404);
        for (name, value) in [("host", "evil.example"), ("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=x")] {
            for path in ["/mailbox".to_owned(), "/mailbox.json".to_owned(), format!("/mailbox/{id}/html")] {
                let refused = get(path).header(name, value).send().await.unwrap();
                assert_eq!(refused.status(), 404, "{name}");
            }
        }
    }

    async fn without_the_setting_there_is_no_mailbox_page(server: Server) {
        let answer = reqwest::get(format!("{}/mailbox", server.base)).await.unwrap();
        assert_eq!(answer.status(), 404);
    }
}

/// Settings for this mail server.
fn by_smtp(config: &mut Config, url: String) {
    config.mail.transport = MailTransport::Smtp;
    config.mail.from = "Grüne Wolke <no-reply@wolke.example>".to_owned();
    config.mail.reply_to = "support@wolke.example".to_owned();
    config.mail.product = "Grüne Wolke".to_owned();
    config.mail.timeout_seconds = 5;
    config.mail.smtp_url = Secret::new(url);
}

async fn server_for(engine: Engine, smtp: &SmtpServer) -> Server {
    let port = smtp.port;
    Server::start(engine, |config| {
        by_smtp(config, format!("smtp://127.0.0.1:{port}"))
    })
    .await
}

/// Lets the longest pause pass, then runs what is due.
async fn try_again(server: &Server) {
    server.clock.advance(Duration::from_mins(31));
    server.run_tasks().await;
}

/// Makes two tests of one, since these need the mail server before onetd.
macro_rules! on_both_engines {
    ($(async fn $name:ident($engine:ident: Engine) $body:block)+) => { $(
        mod $name {
            use super::*;

            async fn check($engine: Engine) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                check(Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                check(Engine::Postgres).await;
            }
        }
    )+ };
}

on_both_engines! {
    async fn a_mail_server_gets_headers_and_both_parts(engine: Engine) {
        let Some(smtp) = SmtpServer::start() else { return };
        let server = server_for(engine, &smtp).await;
        let id = post(&server, letter("zoe@example.org", Language::Fr)).await;
        server.run_tasks().await;
        let deliveries = smtp.deliveries();
        assert_eq!(deliveries.len(), 1);
        let (mail, raw) = (&deliveries[0].mail, &deliveries[0].raw);
        assert_eq!(deliveries[0].envelope["from"], "no-reply@wolke.example");
        assert_eq!(deliveries[0].envelope["to"], json!(["zoe@example.org"]));
        assert_eq!(mail.subject, "Confirmez votre adresse pour Grüne Wolke");
        assert_eq!((mail.to.as_str(), mail.from.as_str()), ("zoe@example.org", "no-reply@wolke.example"));
        assert!(mail.text.contains("L’équipe Grüne Wolke") && mail.html.contains("L’équipe Grüne Wolke"));
        assert_eq!((mail.links(), mail.code()), (vec![URL], Some(CODE)));
        assert_eq!(mail.message_id, format!("{id}@wolke.example"));
        for header in ["Reply-To: support@wolke.example", "Auto-Submitted: auto-generated", "MIME-Version: 1.0",
            "Content-Type: multipart/alternative", "Date: "] {
            assert!(raw.contains(&format!("\r\n{header}")) || raw.starts_with(header), "{header}\n{raw}");
        }
        // Everything on the wire is ASCII: no server along the way needs 8BITMIME.
        assert!(raw.is_ascii());
        assert_eq!(row(&server, id).await.status, MailStatus::Sent);
    }

    async fn a_server_that_is_down_loses_nothing(engine: Engine) {
        if !smtp::available() { return }
        let port = smtp::free_port();
        let server = Server::start(engine, |config| by_smtp(config, format!("smtp://127.0.0.1:{port}"))).await;
        let mut ids = Vec::new();
        for number in 0..3 {
            ids.push(post(&server, letter(&format!("u{number}@example.org"), Language::En)).await);
        }
        server.run_tasks().await;
        try_again(&server).await;
        for id in &ids {
            let waiting = row(&server, *id).await;
            assert_eq!((waiting.status, waiting.attempts), (MailStatus::Pending, 2));
            assert!(waiting.error.is_some() && waiting.content.is_some());
            let rest = at_rest(&server, *id).await;
            assert!(!rest.contains(CODE) && !rest.contains("geheim"), "{rest}");
        }
        let Some(smtp) = SmtpServer::start_on(port, Tls::None, None) else { return };
        try_again(&server).await;
        let mut got: Vec<String> = smtp.deliveries().into_iter().map(|delivery| delivery.mail.to).collect();
        got.sort();
        assert_eq!(got, ["u0@example.org", "u1@example.org", "u2@example.org"]);
        for id in ids {
            let sent = row(&server, id).await;
            assert_eq!((sent.status, sent.attempts, sent.error), (MailStatus::Sent, 3, None));
        }
    }

    async fn a_server_that_stays_down_is_given_up_after_a_day(engine: Engine) {
        let port = smtp::free_port();
        let server = Server::start(engine, |config| by_smtp(config, format!("smtp://127.0.0.1:{port}"))).await;
        let id = post(&server, letter("ada@example.org", Language::En)).await;
        let start = server.clock.now();
        let mut tries = 0;
        while row(&server, id).await.status == MailStatus::Pending {
            server.run_tasks().await;
            server.clock.advance(Duration::from_mins(2));
            tries += 1;
            assert!(tries < 1500, "it is never given up");
        }
        let hours = server.clock.now().since(start).as_secs() / 3600;
        assert!((20..=34).contains(&hours), "{hours} hours");
        let kept = row(&server, id).await;
        assert_eq!((kept.status, kept.content), (MailStatus::Failed, None));
        assert!(kept.error.is_some() && kept.attempts > 50);
    }

    async fn a_passing_refusal_is_tried_again_and_a_permanent_one_is_not(engine: Engine) {
        let Some(smtp) = SmtpServer::start() else { return };
        let server = server_for(engine, &smtp).await;
        smtp.refuse("451 4.3.0 Greylisted, come back later");
        let id = post(&server, letter("ada@example.org", Language::En)).await;
        server.run_tasks().await;
        let waiting = row(&server, id).await;
        assert_eq!((waiting.status, waiting.attempts), (MailStatus::Pending, 1));
        assert!(waiting.error.unwrap().contains("Greylisted"));
        smtp.accept();
        try_again(&server).await;
        assert_eq!(row(&server, id).await.status, MailStatus::Sent);

        smtp.refuse("550 5.1.1 No such user here");
        let refused = post(&server, letter("gone@example.org", Language::En)).await;
        server.run_tasks().await;
        try_again(&server).await;
        try_again(&server).await;
        let kept = row(&server, refused).await;
        assert_eq!((kept.status, kept.attempts, kept.content), (MailStatus::Failed, 1, None));
        assert!(kept.error.unwrap().contains("No such user"));
        assert_eq!((smtp.refusals(), smtp.deliveries().len()), (2, 1));
    }

    async fn a_login_is_used_and_a_wrong_one_loses_no_mail(engine: Engine) {
        let port = smtp::free_port();
        let Some(smtp) = SmtpServer::start_on(port, Tls::None, Some("onet:p@ss:word")) else { return };
        let right = Server::start(engine, |config| {
            by_smtp(config, format!("smtp://onet:p%40ss%3Aword@127.0.0.1:{port}"));
        }).await;
        post(&right, letter("ada@example.org", Language::En)).await;
        right.run_tasks().await;
        assert_eq!(smtp.deliveries()[0].envelope["user"], "onet");

        let wrong = Server::start(engine, |config| {
            by_smtp(config, format!("smtp://onet:hunter2@127.0.0.1:{port}"));
        }).await;
        let id = post(&wrong, letter("ada@example.org", Language::En)).await;
        wrong.run_tasks().await;
        let waiting = row(&wrong, id).await;
        assert_eq!((waiting.status, waiting.attempts), (MailStatus::Pending, 1));
        let error = waiting.error.unwrap();
        assert!(error.contains("535") && !error.contains("hunter2"), "{error}");
        assert_eq!(smtp.deliveries().len(), 1);
    }

    async fn required_tls_is_never_done_without(engine: Engine) {
        let Some(plain) = SmtpServer::start() else { return };
        let port = plain.port;
        let server = Server::start(engine, |config| {
            by_smtp(config, format!("smtp://127.0.0.1:{port}?tls=required"));
        }).await;
        let id = post(&server, letter("ada@example.org", Language::En)).await;
        server.run_tasks().await;
        let waiting = row(&server, id).await;
        assert_eq!(waiting.status, MailStatus::Pending);
        assert!(waiting.error.is_some());
        assert_eq!(plain.deliveries().len(), 0);
    }

    async fn tls_is_spoken_with_servers_that_can_prove_themselves(engine: Engine) {
        for (tls, scheme, query) in [(Tls::StartTls, "smtp", "?tls=required"), (Tls::Wrapper, "smtps", ""),
            (Tls::StartTls, "smtp", "?tls=opportunistic")] {
            let Some(smtp) = SmtpServer::start_on(smtp::free_port(), tls, None) else { return };
            let url = format!("{scheme}://localhost:{}{query}", smtp.port);
            let server = Server::start(engine, |config| {
                by_smtp(config, url.clone());
                config.mail.smtp_ca_file = smtp.authority();
            }).await;
            let id = post(&server, letter("ada@example.org", Language::En)).await;
            server.run_tasks().await;
            assert_eq!(row(&server, id).await.error, None, "{url}");
            assert_eq!(smtp.deliveries()[0].envelope["encrypted"], true, "{url}");

            let server = Server::start(engine, |config| by_smtp(config, url.clone())).await;
            let id = post(&server, letter("ada@example.org", Language::En)).await;
            server.run_tasks().await;
            let waiting = row(&server, id).await;
            assert_eq!(waiting.status, MailStatus::Pending, "{url}");
            assert!(waiting.error.unwrap().contains("certificate"), "{url}");
            assert_eq!(smtp.deliveries().len(), 1, "{url}");
        }
    }

    async fn a_crash_after_sending_repeats_the_same_message(engine: Engine) {
        let Some(smtp) = SmtpServer::start() else { return };
        let server = server_for(engine, &smtp).await;
        let id = post(&server, letter("ada@example.org", Language::En)).await;
        kernel::crash::fail_at("mail.sent", 1);
        server.run_tasks().await;
        assert_eq!(row(&server, id).await.status, MailStatus::Pending);
        try_again(&server).await;
        try_again(&server).await;
        let ids: Vec<String> = smtp.deliveries().into_iter().map(|delivery| delivery.mail.message_id).collect();
        assert_eq!(ids, [format!("{id}@wolke.example"), format!("{id}@wolke.example")]);
        assert_eq!(row(&server, id).await.status, MailStatus::Sent);
    }
}
