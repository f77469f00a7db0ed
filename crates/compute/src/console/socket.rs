//! `GET /console/{session_id}/ws`: from a token to an open console.
//!
//! The token comes as one of the client's subprotocols, `token.…`, beside `onet.console`, which is the one chosen: browsers
//! can set no other header, and addresses end up in logs. Nobody without a token gets as far as an upgrade.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{
        State,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri, header};
use hypervisor::{Hypervisor, Stream};
use kernel::{
    App,
    access::{Caller, still_allowed},
    audit::{AuditStatus, Event, Origin},
    http::{ApiError, ApiResult, RequestFacts},
    store::{StoreError, Tx},
};

use super::{
    api::{ConsoleType, SessionId, SessionPath},
    create::session_noted,
    ending::Ending,
    open::Place,
    proxy,
    rows::{self, SessionRow},
};
use crate::{
    Compute,
    instances::{InstancesOperate, rows as instances},
    machines::plan::vm_of,
};

/// The subprotocol: bytes of the console in binary messages.
const PROTOCOL: &str = "onet.console";
/// What the subprotocol begins with that carries the token.
const TOKEN: &str = "token.";
/// The largest message that a client may send: what is pasted at once.
pub(super) const LARGEST: usize = 1 << 20;
/// The largest message that is read, so that the client can be told that it is too large. A larger one breaks the
/// connection.
const LARGEST_READ: usize = 2 * LARGEST;
/// How long the host may take to answer.
const HOST_LIMIT: Duration = Duration::from_secs(10);

/// A console that was connected to: all that serving it needs.
pub(super) struct Connected {
    pub(super) app: App,
    pub(super) session: SessionRow,
    pub(super) instance_name: String,
    pub(super) stream: Stream,
    pub(super) place: Place,
}

/// What a token is recognised by.
pub(super) fn fingerprint(app: &App, id: SessionId, token: &str) -> String {
    app.sealer()
        .fingerprint(&format!("console/{id}"), token.as_bytes())
}

/// Wrong, used, or too late: the answer does not say which.
fn refused() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "console_token_not_valid",
        "The token is not valid, was used, or its time is over: open another console session.",
    )
}

pub(super) async fn connect(
    State(compute): State<Compute>,
    SessionPath(id): SessionPath,
    Extension(request): Extension<RequestFacts>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> ApiResult<Response> {
    let upgrade = upgrade.map_err(|_| {
        ApiError::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "This is the address of a WebSocket.",
        )
        .with_header(header::UPGRADE, http::HeaderValue::from_static("websocket"))
    })?;
    check_origin(&headers, &compute.app.config().server.base_url())?;
    let token = token_of(&headers).ok_or_else(refused)?;
    let connected = open(&compute, id, token, request).await?;
    Ok(upgrade
        .protocols([PROTOCOL])
        .max_message_size(LARGEST_READ)
        .max_frame_size(LARGEST_READ)
        .on_upgrade(move |socket| proxy::serve(connected, socket)))
}

/// A page of another site must not use a console with what its visitor knows. Clients that are no browsers send no origin.
fn check_origin(headers: &HeaderMap, base_url: &str) -> ApiResult<()> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().ok().and_then(site);
    if origin.is_some() && origin == site(base_url) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "origin_not_allowed",
        "Consoles are opened from the pages of this installation only (server.public_url).",
    ))
}

/// Scheme, host and port of an address.
fn site(address: &str) -> Option<(String, String, u16)> {
    let address: Uri = address.parse().ok()?;
    let scheme = address.scheme_str()?.to_ascii_lowercase();
    let port = address
        .port_u16()
        .unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, address.host()?.to_ascii_lowercase(), port))
}

fn token_of(headers: &HeaderMap) -> Option<&str> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|protocol| protocol.trim().strip_prefix(TOKEN))
}

/// Uses the token up, and connects to the machine.
async fn open(compute: &Compute, id: SessionId, token: &str, request: RequestFacts) -> ApiResult<Connected> {
    let app = &compute.app;
    let token_hash = fingerprint(app, id, token);
    let (session, caller) = find(app, id, token_hash.clone()).await?;
    let watched = app
        .store()
        .read("find_console", move |conn| rows::watched(conn, id))
        .await?;
    let watched = watched.filter(rows::Watched::runs);
    let watched = watched.ok_or_else(|| ApiError::conflict("The instance must run to have a console."))?;
    let unreachable = || ApiError::unavailable("The hypervisor is not reachable.");
    let driver = watched
        .host
        .and_then(|host| compute.hosts.get(host))
        .ok_or_else(unreachable)?;
    let permit = compute.consoles.take().ok_or_else(|| {
        ApiError::unavailable("Too many consoles are open here. Close one, or try again later.")
    })?;

    let origin = Origin::caller(&caller, &request);
    let (seized, wanted) = (session.clone(), token_hash);
    let longest = Duration::from_secs(app.config().compute.console_minutes * 60);
    let replaced = app
        .store()
        .write("connect_console", move |tx| {
            seize(tx, &seized, &wanted, longest, &origin)
        })
        .await?;
    for other in replaced {
        compute.consoles.ring(other);
    }
    let place = compute.consoles.enter(id, permit);
    match stream(driver, &session).await {
        Ok(stream) => Ok(Connected {
            app: app.clone(),
            instance_name: watched.instance_name,
            session,
            stream,
            place,
        }),
        Err(error) => {
            tracing::warn!(error, session = %id, "a console could not be opened");
            proxy::record(app, &session, &watched.instance_name, Ending::Failed).await;
            Err(unreachable())
        }
    }
}

/// The session that the token is for, and whoever opened it, who must still be allowed to.
async fn find(app: &App, id: SessionId, token_hash: String) -> ApiResult<(SessionRow, Caller)> {
    let now = app.clock().now();
    let session = app
        .store()
        .read("find_console", move |conn| {
            rows::find_by_token(conn, id, &token_hash, now)
        })
        .await?
        .ok_or_else(refused)?;
    let (credential, organization, project) =
        (session.credential_id, session.organization_id, session.project_id);
    let caller = still_allowed::<InstancesOperate>(app, credential, organization, project).await?;
    Ok((session, caller.ok_or_else(refused)?))
}

/// The transaction of a connection. The serial line has one user: whoever comes later takes it over. Returns the sessions
/// that had it.
fn seize(
    tx: &mut Tx<'_>,
    session: &SessionRow,
    token_hash: &str,
    longest: Duration,
    origin: &Origin,
) -> ApiResult<Vec<SessionId>> {
    // Of two that take the line at the same time, the second must see the first.
    let row = instances::lock_row(tx, session.project_id, session.instance_id)?.ok_or_else(refused)?;
    let until = tx.now() + longest;
    if !rows::connect(tx, session.id, token_hash, until)? {
        return Err(refused());
    }
    let text = format!("Connected to the console of instance {}", row.name);
    tell(
        tx,
        session,
        &row.name,
        ("instance.console_connected", text),
        origin,
    )?;
    if session.console_type != ConsoleType::Serial {
        return Ok(Vec::new());
    }
    let mut replaced = Vec::new();
    for other in rows::others_on_serial(tx, session.instance_id, session.id)? {
        if rows::end(tx, other, Ending::TakenOver)? {
            let text = format!("Console of instance {}: {}", row.name, Ending::TakenOver.text());
            let ended = SessionRow {
                id: other,
                ..session.clone()
            };
            tell(tx, &ended, &row.name, ("instance.console_closed", text), origin)?;
            replaced.push(other);
        }
    }
    Ok(replaced)
}

/// Writes an audit record about a session.
pub(super) fn tell(
    tx: &mut Tx<'_>,
    session: &SessionRow,
    instance_name: &str,
    (action, description): (&'static str, String),
    origin: &Origin,
) -> Result<(), StoreError> {
    let event = Event {
        action,
        resource_type: "instance",
        resource_id: session.instance_id.cast(),
        resource_name: instance_name.to_owned(),
        description,
        changes: session_noted(session.id),
        status: AuditStatus::Success,
    };
    tx.audit(
        origin,
        Some(session.organization_id),
        Some(session.project_id),
        &event,
    )
}

/// Connects to the machine; why not, for the log.
async fn stream(driver: Arc<dyn Hypervisor>, session: &SessionRow) -> Result<Stream, String> {
    let vm = vm_of(session.instance_id);
    let opening = async {
        match session.console_type {
            ConsoleType::Novnc => driver.screen(vm).await,
            ConsoleType::Serial => driver.serial(vm).await,
        }
    };
    match tokio::time::timeout(HOST_LIMIT, opening).await {
        Ok(opened) => opened.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the host did not answer within {HOST_LIMIT:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn pages_of_this_installation_alone_may_connect() {
        let from =
            |origin: &'static str, base: &str| check_origin(&headers(&[("origin", origin)]), base).is_ok();
        assert!(check_origin(&HeaderMap::new(), "https://api.example.org").is_ok());
        assert!(from(
            "https://api.example.org",
            "https://API.example.org:443/onet"
        ));
        assert!(from("http://127.0.0.1:8080", "http://127.0.0.1:8080"));
        for origin in [
            "http://api.example.org",
            "https://api.example.org:444",
            "https://api.example.org.evil.net",
            "null",
            "",
        ] {
            assert!(!from(origin, "https://api.example.org"), "{origin}");
        }
    }

    #[test]
    fn the_token_is_found_among_the_subprotocols() {
        let token = |value: &'static str| {
            token_of(&headers(&[("sec-websocket-protocol", value)])).map(ToOwned::to_owned)
        };
        assert_eq!(token("onet.console, token.abc-_1").as_deref(), Some("abc-_1"));
        assert_eq!(token("token.abc").as_deref(), Some("abc"));
        assert_eq!(token("onet.console"), None);
        let two = headers(&[
            ("sec-websocket-protocol", "onet.console"),
            ("sec-websocket-protocol", "token.x"),
        ]);
        assert_eq!(token_of(&two), Some("x"));
    }
}
