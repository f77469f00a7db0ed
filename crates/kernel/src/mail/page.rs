//! `/mailbox`: what the transport `mailbox` has kept, for demos. Only for browsers on the same machine.

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf};

use axum::{
    Json, Router,
    extract::{ConnectInfo, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderValue, header};

use super::{
    Mail,
    layout::escape,
    mailbox::{self, ReceivedMail},
};
use crate::{
    App,
    config::{Config, MailTransport},
    http::{ApiError, ApiResult, PathId},
};

/// Mails that the list shows.
const SHOWN: usize = 100;

/// The page's routes; none unless `mail.transport` is `mailbox` and `mail.mailbox_page` is true.
pub fn routes(app: &App) -> Router {
    if !is_on(app.config()) {
        return Router::new();
    }
    Router::new()
        .route("/mailbox", get(list))
        .route("/mailbox.json", get(list_json))
        .route("/mailbox/{id}", get(show))
        .route("/mailbox/{id}/html", get(show_html))
        .layer(middleware::from_fn(same_machine))
        .with_state(mailbox::folder(&app.config().data_dir))
}

/// Whether the page is served.
pub fn is_on(config: &Config) -> bool {
    config.mail.mailbox_page && config.mail.transport == MailTransport::Mailbox
}

/// Mails hold links and codes: only programs of this machine see them, not through a proxy, and no page of the web that
/// has made its own name point here.
async fn same_machine(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let near = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    let forwarded = ["x-forwarded-for", "forwarded", "x-real-ip"]
        .iter()
        .any(|name| request.headers().contains_key(*name));
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if near && !forwarded && host.is_some_and(names_this_machine) {
        next.run(request).await
    } else {
        ApiError::not_found().into_response()
    }
}

fn names_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

async fn all(folder: PathBuf) -> ApiResult<Vec<ReceivedMail>> {
    let mails = tokio::task::spawn_blocking(move || mailbox::list(&folder, SHOWN)).await;
    mails
        .map_err(|error| ApiError::internal(error.to_string()))?
        .map_err(|error| ApiError::internal(format!("the mailbox can't be read: {error}")))
}

async fn one(folder: PathBuf, id: crate::id::Id<Mail>) -> ApiResult<ReceivedMail> {
    let mail = tokio::task::spawn_blocking(move || mailbox::read(&folder, id)).await;
    mail.map_err(|error| ApiError::internal(error.to_string()))?
        .map_err(|error| ApiError::internal(format!("the mailbox can't be read: {error}")))?
        .ok_or_else(ApiError::not_found)
}

async fn list(State(folder): State<PathBuf>) -> ApiResult<Response> {
    let mails = all(folder).await?;
    let mut body =
        String::from("<h1>Mailbox</h1>\n<p class=\"soft\">Mails that onet has sent, newest first.</p>\n");
    if mails.is_empty() {
        body.push_str("<p>None yet.</p>\n");
    } else {
        body.push_str("<table>\n<tr><th>Subject</th><th>To</th><th>Date</th></tr>\n");
        for mail in &mails {
            let id = mail.id.map(|id| id.to_string()).unwrap_or_default();
            let _ = writeln!(
                body,
                "<tr><td><a href=\"/mailbox/{id}\">{}</a></td><td>{}</td><td class=\"soft\">{}</td></tr>",
                escape(&mail.subject),
                escape(&mail.to),
                escape(&mail.date)
            );
        }
        body.push_str("</table>\n");
    }
    Ok(page("Mailbox", &body))
}

async fn list_json(State(folder): State<PathBuf>) -> ApiResult<Response> {
    let mails = all(folder).await?;
    let listed: Vec<serde_json::Value> = mails
        .iter()
        .map(|mail| {
            serde_json::json!({
                "id": mail.id, "to": mail.to, "from": mail.from, "subject": mail.subject, "date": mail.date,
                "message_id": mail.message_id, "text": mail.text, "html": mail.html, "links": mail.links(),
                "code": mail.code(),
            })
        })
        .collect();
    Ok(Json(listed).into_response())
}

async fn show(PathId(id): PathId<Mail>, State(folder): State<PathBuf>) -> ApiResult<Response> {
    let mail = one(folder, id).await?;
    let mut links = String::new();
    for link in mail.links() {
        let link = escape(link);
        let _ = writeln!(links, "<li><a href=\"{link}\">{link}</a></li>");
    }
    if !links.is_empty() {
        links = format!("<h2>Links</h2>\n<ul>\n{links}</ul>\n");
    }
    let body = format!(
        "<p><a href=\"/mailbox\">&larr; Mailbox</a></p>\n<h1>{}</h1>\n<p class=\"soft\">From {} to {}, {}</p>\n\
         <iframe sandbox=\"allow-popups allow-popups-to-escape-sandbox\" src=\"/mailbox/{id}/html\" title=\"The mail\">\
         </iframe>\n{links}<h2>Text</h2>\n<pre>{}</pre>\n",
        escape(&mail.subject),
        escape(&mail.from),
        escape(&mail.to),
        escape(&mail.date),
        escape(&mail.text)
    );
    Ok(page(&mail.subject, &body))
}

/// The HTML part for the frame: its links open beside the mailbox.
async fn show_html(PathId(id): PathId<Mail>, State(folder): State<PathBuf>) -> ApiResult<Response> {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; \
         sandbox allow-popups allow-popups-to-escape-sandbox";
    let mail = one(folder, id).await?;
    let html = mail
        .html
        .replacen("<head>", "<head>\n<base target=\"_blank\">", 1);
    Ok(as_html(html, POLICY))
}

fn page(title: &str, body: &str) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; frame-ancestors 'none'; \
         base-uri 'none'; form-action 'none'";
    let document = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{}</title>\n<style>\n\
         :root {{ color-scheme: light dark; --soft: #667085; --line: #d5dbe5; --link: #1f4fbf }}\n\
         @media (prefers-color-scheme: dark) {{ :root {{ --soft: #9aa5b4; --line: #2f3947; --link: #8fb4ff }} }}\n\
         body {{ margin: 2rem auto; max-width: 60rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif }}\n\
         h1 {{ font-size: 1.5rem; margin: 0 0 .25rem }}\nh2 {{ font-size: 1.1rem; margin: 1.5rem 0 .5rem }}\n\
         a {{ color: var(--link) }}\n.soft {{ color: var(--soft) }}\n\
         table {{ width: 100%; border-collapse: collapse }}\n\
         th, td {{ text-align: left; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--line) }}\n\
         iframe {{ width: 100%; height: 36rem; border: 1px solid var(--line); border-radius: 8px }}\n\
         pre {{ white-space: pre-wrap; overflow-wrap: anywhere; padding: 1rem; border: 1px solid var(--line); \
         border-radius: 8px }}\nli {{ overflow-wrap: anywhere }}\n\
         </style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    );
    as_html(document, POLICY)
}

fn as_html(document: String, policy: &'static str) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (headers, document).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:80",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(names_this_machine(host), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:8080",
            "localhost.evil.example",
            "::1:x",
        ] {
            assert!(!names_this_machine(host), "{host}");
        }
    }
}
