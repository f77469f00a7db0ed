//! Console sessions as the API shows and takes them.
#![allow(
    missing_docs,
    reason = "the fields are the published API's; comments repeat its words where it has some"
)]

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use kernel::{
    http::{ApiError, ApiResult, Body},
    id::Id,
    time::Time,
    words,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rows::SessionRow;
use crate::instances::api::{Instance, InstanceId};

/// Names the ids of console sessions.
#[derive(Debug)]
pub(crate) enum SessionKind {}
/// The id of a console session.
pub(crate) type SessionId = Id<SessionKind>;

words! {
    /// What is seen of the machine
    pub(crate) enum ConsoleType {
        /// Its screen.
        Novnc = "novnc",
        /// Its serial line.
        Serial = "serial",
    }
}

words! {
    /// Where a session stands
    pub(crate) enum ConsoleStatus {
        /// Not to be connected to yet.
        Pending = "pending",
        /// Its token waits to be used.
        Ready = "ready",
        /// Somebody looks.
        Connected = "connected",
        /// Over.
        Closed = "closed",
        /// Over, since its time was.
        Expired = "expired",
    }
}

/// What `create_instance_console_session` takes.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub(crate) struct ConsoleSessionCreate {
    #[serde(default = "novnc")]
    #[schema(required = false, default = "novnc")]
    pub(crate) console_type: ConsoleType,
}

const fn novnc() -> ConsoleType {
    ConsoleType::Novnc
}

impl Body for ConsoleSessionCreate {
    type Wire = Self;
}

/// A console session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConsoleSession {
    #[schema(read_only, value_type = String)]
    session_id: SessionId,
    #[schema(read_only)]
    instance_id: InstanceId,
    console_type: ConsoleType,
    #[schema(read_only)]
    status: ConsoleStatus,
    /// Page with the console client.
    #[schema(read_only, format = "uri")]
    url: String,
    #[schema(read_only)]
    websocket_url: String,
    /// One-time secret; only in the answer that creates the session.
    #[schema(read_only, required = false, nullable)]
    token: Option<String>,
    #[schema(read_only)]
    expires_at: Time,
    #[schema(read_only)]
    created: Time,
}

impl ConsoleSession {
    /// As it is at `now`, in the installation at `base`; without its token, which nobody keeps.
    pub(super) fn at(now: Time, base: &str, row: SessionRow) -> Self {
        let status = row.status_at(now);
        let SessionRow {
            id,
            organization_id: _,
            project_id: _,
            instance_id,
            user_id: _,
            credential_id: _,
            console_type,
            token_hash: _,
            status: _,
            expires_at,
            seen_at: _,
            created,
            closed_at: _,
            ending: _,
        } = row;
        let page = format!("{base}/console/{id}");
        // http and https are ws and wss.
        let socket = page.replacen("http", "ws", 1);
        Self {
            session_id: id,
            instance_id,
            console_type,
            status,
            url: format!("{page}?type={}", console_type.as_str()),
            websocket_url: format!("{socket}/ws"),
            token: None,
            expires_at,
            created,
        }
    }
}

/// What `get_instance_console_session` answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceWithConsoleSession {
    #[serde(flatten)]
    pub(crate) instance: Instance,
    #[schema(read_only, required = false)]
    pub(crate) console_session: ConsoleSession,
}

/// The path's `{session_id}`. What is no id names nothing: 404.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionPath(pub(crate) SessionId);

impl<S: Send + Sync> FromRequestParts<S> for SessionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let path = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::not_found())?;
        let id = path.iter().find(|(name, _)| *name == "session_id");
        id.and_then(|(_, id)| id.parse().ok())
            .map(Self)
            .ok_or_else(ApiError::not_found)
    }
}
