//! An open console: bytes in both directions, for as long as it may.
//!
//! Each direction reads only what the other side has taken, so that neither a slow client nor a slow guest fills the
//! memory; they don't wait for each other. Beside them, [`watch`] asks whether the session may go on.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream as Messages, StreamExt};
use kernel::{App, access::still_allowed, audit::Origin, http::ApiResult, store::StoreError};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    api::ConsoleStatus,
    ending::Ending,
    open::Place,
    rows::{self, SessionRow},
    socket::{Connected, LARGEST, tell},
};
use crate::instances::InstancesOperate;

/// How often it is asked whether a console may stay open.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Looks that may fail in a row, while the database is away, before the console is closed.
const FAILURES: u32 = 5;
/// How often it is written down that this node serves the console.
const SEEN_EVERY: Duration = Duration::from_secs(30);
/// How often the client is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a client may be silent, pongs included, and how long it may let a message wait.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a guest may let bytes wait. A screen or a line that takes none for so long is broken.
const GUEST_LIMIT: Duration = Duration::from_secs(60);
/// What one message to the client carries at most.
const PORTION: usize = 32 << 10;
/// How long the close frame may take in each direction.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// When bytes of the console last moved.
struct Activity(Mutex<Instant>);

impl Activity {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn rest(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// Serves a console until its end.
pub(super) async fn serve(connected: Connected, socket: WebSocket) {
    let Connected {
        app,
        session,
        instance_name,
        stream,
        place,
    } = connected;
    let (mut to_client, mut from_client) = socket.split();
    let (mut from_guest, mut to_guest) = tokio::io::split(stream);
    let activity = Activity(Mutex::new(Instant::now()));
    let ending = tokio::select! {
        ending = show(&mut from_guest, &mut to_client, &activity) => ending,
        ending = obey(&mut from_client, &mut to_guest, &activity) => ending,
        ending = watch(&app, &session, &place, &activity) => ending,
    };
    record(&app, &session, &instance_name, ending).await;
    if ending != Ending::Left {
        let _ = timeout(CLOSE_LIMIT, to_client.send(Message::Close(Some(ending.frame())))).await;
        // Until the client has answered: a connection that is cut before may lose what was sent last.
        let _ = timeout(CLOSE_LIMIT, async {
            while let Some(Ok(_)) = from_client.next().await {}
        })
        .await;
    }
}

/// From the guest to the client, with a ping now and then.
async fn show(
    guest: &mut (impl AsyncRead + Unpin),
    client: &mut (impl Sink<Message, Error = axum::Error> + Unpin),
    activity: &Activity,
) -> Ending {
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut portion = vec![0; PORTION];
    loop {
        let message = tokio::select! {
            read = guest.read(&mut portion) => match read {
                Ok(0) | Err(_) => return Ending::Machine,
                Ok(count) => {
                    activity.note();
                    Message::Binary(Bytes::copy_from_slice(&portion[..count]))
                }
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        match timeout(SILENCE, client.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ending::Left,
            Err(_) => return Ending::Stalled,
        }
    }
}

/// From the client to the guest. Text is taken for its bytes.
async fn obey(
    client: &mut (impl Messages<Item = Result<Message, axum::Error>> + Unpin),
    guest: &mut (impl AsyncWrite + Unpin),
    activity: &Activity,
) -> Ending {
    loop {
        let bytes = match timeout(SILENCE, client.next()).await {
            Err(_) => return Ending::Stalled,
            Ok(None | Some(Ok(Message::Close(_)) | Err(_))) => return Ending::Left,
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
            Ok(Some(Ok(Message::Binary(bytes)))) => bytes,
            Ok(Some(Ok(Message::Text(text)))) => text.into(),
        };
        if bytes.len() > LARGEST {
            return Ending::Refused;
        }
        activity.note();
        let write = async {
            guest.write_all(&bytes).await?;
            guest.flush().await
        };
        match timeout(GUEST_LIMIT, write).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ending::Machine,
            Err(_) => return Ending::Failed,
        }
    }
}

/// Waits until the console must end.
async fn watch(app: &App, session: &SessionRow, place: &Place, activity: &Activity) -> Ending {
    let idle_limit = Duration::from_secs(app.config().compute.console_idle_minutes * 60);
    let mut failures = 0;
    let mut seen = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = place.rung() => {}
        }
        if app.is_stopping() {
            return Ending::Stopping;
        }
        if activity.rest() > idle_limit {
            return Ending::Idle;
        }
        match look(app, session).await {
            Ok(Some(ending)) => return ending,
            Ok(None) => failures = 0,
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, failures, session = %session.id, "a console's rights could not be looked up");
                if failures >= FAILURES {
                    return Ending::Failed;
                }
            }
        }
        let now = app.clock().now();
        if seen.is_none_or(|seen| now.since(seen) >= SEEN_EVERY) {
            seen = Some(now);
            let id = session.id;
            let noted = app
                .store()
                .write("note_console", move |tx| rows::seen(tx, id))
                .await;
            if let Err(error) = noted {
                tracing::warn!(%error, session = %id, "an open console could not be noted");
            }
        }
    }
}

/// Why the console must end now, if it must.
async fn look(app: &App, session: &SessionRow) -> ApiResult<Option<Ending>> {
    let id = session.id;
    let watched = app
        .store()
        .read("watch_console", move |conn| rows::watched(conn, id))
        .await?;
    let Some(watched) = watched else {
        return Ok(Some(Ending::Closed));
    };
    if watched.status != ConsoleStatus::Connected {
        return Ok(Some(watched.ending.unwrap_or(Ending::Closed)));
    }
    if watched.expires_at <= app.clock().now() {
        return Ok(Some(Ending::Expired));
    }
    if !watched.runs() {
        return Ok(Some(Ending::Machine));
    }
    let (credential, organization, project) =
        (session.credential_id, session.organization_id, session.project_id);
    let caller = still_allowed::<InstancesOperate>(app, credential, organization, project).await?;
    Ok(caller.is_none().then_some(Ending::Rights))
}

/// Writes down that a session has ended, and why, unless that is known already.
pub(super) async fn record(app: &App, session: &SessionRow, instance_name: &str, ending: Ending) {
    let (ended, name, id) = (session.clone(), instance_name.to_owned(), session.id);
    let written = app.store().write("end_console", move |tx| {
        if rows::end(tx, ended.id, ending)? {
            let text = format!("Console of instance {name}: {}", ending.text());
            let told = ("instance.console_closed", text);
            tell(tx, &ended, &name, told, &Origin::system("console"))?;
        }
        Ok::<_, StoreError>(())
    });
    if let Err(error) = written.await {
        // It is taken for closed as soon as its node has been silent for long enough.
        tracing::warn!(%error, session = %id, "the end of a console could not be written down");
    }
}
