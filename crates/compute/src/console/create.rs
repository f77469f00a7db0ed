//! `create_instance_console_session`.

use axum::{extract::State, response::Response};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use kernel::{
    access::{Permission, ProjectScope},
    audit::Changes,
    http::{self, Answer, ApiError, ApiResult, PathId},
    store::Tx,
};
use rand::RngExt;
use serde_json::{Value, json};

use super::{
    api::{ConsoleSession, ConsoleSessionCreate, ConsoleStatus, SessionId},
    rows::{self, SessionRow},
    socket::fingerprint,
};
use crate::{
    Compute,
    instances::{
        InstancesOperate,
        actions::{self, Action},
        api::InstanceKind,
    },
};

/// Sessions of an instance that may be open at a time.
const MOST_OPEN: i64 = 5;

/// [Instances] Create console session
///
/// Open a short-lived console session (noVNC or serial). The machine must run. The token is in this response only:
/// repeated under the same Idempotency-Key, the answer has none.
#[utoipa::path(
    post, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{id}/console",
    tag = "Compute", operation_id = "create_instance_console_session",
    params(
        ("id" = uuid::Uuid, Path, description = "A UUID string identifying this Instance."),
        ("organization_id" = String, Path, description = "Organization that owns the resource."),
        ("project_id" = String, Path, description = "Project that contains the resource."),
    ),
    request_body(content = ConsoleSessionCreate),
    responses(
        (status = 201, description = "Session created", body = ConsoleSession),
        (status = 400, description = "The request does not validate"),
        (status = 409, description = actions::CONFLICT),
        http::WriteRefusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesOperate::NAME)),
        ("x-minimum-role" = json!(InstancesOperate::ROLE.as_str())), ("x-scope" = json!(InstancesOperate::SCOPE))),
)]
pub(crate) async fn create_instance_console_session(
    scope: ProjectScope<InstancesOperate>,
    PathId(instance): PathId<InstanceKind>,
    State(compute): State<Compute>,
    change: http::Change<ConsoleSessionCreate>,
) -> ApiResult<Response> {
    let (id, token) = (SessionId::new(), new_token());
    let token_hash = fingerprint(&compute.app, id, &token);
    let (app, caller) = (compute.app.clone(), scope.caller.clone());
    let base = app.config().server.base_url();
    let lifetime = std::time::Duration::from_secs(app.config().compute.console_seconds);
    let work = move |tx: &mut Tx<'_>, change: &http::Change<ConsoleSessionCreate>| {
        let action = Action::begin(tx, &scope, instance)?;
        change.check_version(action.row.version)?;
        let wanted = change.body()?;
        action.must_be_active()?;
        let seen = action
            .state
            .as_ref()
            .map_or("unknown", |state| state.vm_status.as_str());
        if seen != "running" {
            return Err(ApiError::conflict(format!(
                "The instance is {seen}; it must run to have a console. Only start is possible."
            )));
        }
        if compute.hosts.get(action.machine()?.host_id).is_none() {
            return Err(ApiError::unavailable("The hypervisor is not reachable."));
        }
        let now = tx.now();
        rows::forget_old(tx, instance)?;
        if rows::count_open(tx.conn(), instance, now)? >= MOST_OPEN {
            return Err(ApiError::conflict(format!(
                "The instance has {MOST_OPEN} open console sessions already: close one of them."
            )));
        }
        let row = SessionRow {
            id,
            organization_id: scope.organization,
            project_id: scope.project,
            instance_id: instance,
            user_id: scope.caller.user,
            credential_id: scope.caller.credential,
            console_type: wanted.console_type,
            token_hash: Some(token_hash.clone()),
            status: ConsoleStatus::Ready,
            expires_at: now + lifetime,
            seen_at: None,
            created: now,
            closed_at: None,
            ending: None,
        };
        rows::insert(tx, &row)?;
        let text = format!(
            "Opened a console session ({}) of instance {}",
            row.console_type.as_str(),
            action.row.name
        );
        action.audit(tx, "instance.console_opened", text, session_noted(id))?;
        let path = format!(
            "/v1/organizations/{}/projects/{}/compute/instances/{instance}/console/{id}",
            scope.organization, scope.project
        );
        Ok(Answer::created(ConsoleSession::at(now, &base, row), None, path))
    };
    let created = change
        .run(&app, &caller, "create_instance_console_session", work)
        .await?;
    reveal(created, id, token).await
}

/// 256 random bits, as they can stand in a link and in `Sec-WebSocket-Protocol`.
fn new_token() -> String {
    let random: [u8; 32] = rand::rng().random();
    BASE64_URL_SAFE_NO_PAD.encode(random)
}

/// Which session an audit record is about.
pub(super) fn session_noted(id: SessionId) -> Changes {
    let mut changes = Changes::default();
    changes.note("console_session", &Value::Null, &json!(id));
    changes
}

/// The answer with the token, if it is the answer to this request: what is kept for an Idempotency-Key has none, since no
/// secret is stored in the clear. In the page's address it stands behind the `#`, which browsers send to nobody.
async fn reveal(answer: Response, id: SessionId, token: String) -> ApiResult<Response> {
    http::reveal(answer, |created| {
        if created["session_id"] == id.to_string() {
            let page = created["url"].as_str().unwrap_or_default();
            created["url"] = format!("{page}#token={token}").into();
            created["token"] = token.into();
        }
    })
    .await
}
