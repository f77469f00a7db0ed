//! `export_audit_logs`.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::State,
    response::{IntoResponse, Response},
};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::AuditRow,
    http::{ApiResult, Query},
    store::{Store, StoreError},
};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{
    AuditLogsRead,
    api::AuditLog,
    filters::{self, Filters},
    format::Format,
    rows::{self, Wanted},
};
use crate::state::Area;

/// Records read by one query, and the most that are in memory twice.
const BATCH: i64 = 500;
/// A client that takes nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// [Audit Logs] Export audit logs
///
/// Same filters as the list, as a download of all matching records: CSV, or JSON lines with `file_format=jsonl`. Text
/// that a spreadsheet would take for a formula begins with an apostrophe in CSV.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/audit-logs/export",
    operation_id = "export_audit_logs",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        Filters,
        ("file_format" = inline(Option<Format>), Query, nullable = false,
            description = "`csv` (the default) or `jsonl`"),
    ),
    responses(
        (status = 200, description = "CSV file, or JSON lines",
            content((String = "text/csv"), (String = "application/jsonl"))),
        (status = 400, description = "Invalid request parameters"),
        (status = 401, description = "Authentication credentials missing or invalid"),
        (status = 403, description = "Insufficient permissions"),
        (status = 404, description = "Not found"),
        (status = 429, description = "Too many requests"),
        (status = 503, description = "Temporarily unavailable"),
    ),
    extensions(
        ("x-permission" = json!(AuditLogsRead::NAME)),
        ("x-minimum-role" = json!(AuditLogsRead::ROLE.as_str())),
        ("x-scope" = json!(AuditLogsRead::SCOPE)),
    )
)]
pub(super) async fn export_audit_logs(
    scope: OrganizationScope<AuditLogsRead>,
    State(Area { identity, .. }): State<Area>,
    mut query: Query,
) -> ApiResult<Response> {
    let wanted = filters::read(scope.organization, &mut query);
    let format = query
        .choice("file_format", Format::from_word)
        .unwrap_or(Format::Csv);
    query.check()?;
    let store = identity.store().clone();
    // The first records before the answer begins: what fails up to here is answered as an error.
    let first = batch(&store, &wanted, None).await?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move { send(&store, &wanted, format, first, &sender).await });
    let headers = [
        ("content-type", format.media_type()),
        ("content-disposition", format.disposition()),
    ];
    Ok((headers, Body::new(Parts(receiver))).into_response())
}

/// Records with the names of their projects.
type Batch = Vec<(AuditRow, Option<String>)>;
/// A part of the file, or why there is no more.
type Part = Result<Bytes, StoreError>;

async fn batch(store: &Store, wanted: &Wanted, after: Option<&AuditRow>) -> Result<Batch, StoreError> {
    let wanted = wanted.clone();
    let after = after.map(|row| (row.created, row.id));
    store
        .read("export_audit_logs", move |conn| {
            let records = wanted.after(conn, after, BATCH)?;
            let names = rows::project_names(conn, &records)?;
            let named = records.into_iter().map(|row| {
                let name = row.project_id.and_then(|id| names.get(&id).cloned());
                (row, name)
            });
            Ok(named.collect())
        })
        .await
}

/// Sends the file part by part, as fast as the client takes it; ends when the client has gone.
async fn send(store: &Store, wanted: &Wanted, format: Format, mut records: Batch, client: &Sender<Part>) {
    let mut part = format.head();
    loop {
        let last = records.last().map(|(row, _)| row.clone());
        let is_last = i64::try_from(records.len()).is_ok_and(|count| count < BATCH);
        for (row, name) in records {
            format.write(&mut part, &AuditLog::new(wanted.organization, row, name));
        }
        if !hand_over(client, Ok(std::mem::take(&mut part).into())).await || is_last {
            return;
        }
        records = match batch(store, wanted, last.as_ref()).await {
            Ok(records) => records,
            Err(error) => {
                tracing::warn!(%error, "an export ended early");
                // The connection is closed without the end of the body: the client sees that it is not whole.
                hand_over(client, Err(error)).await;
                return;
            }
        };
    }
}

/// `false` if the client has gone, or takes nothing.
async fn hand_over(client: &Sender<Part>, part: Part) -> bool {
    let sent = tokio::time::timeout(PATIENCE, client.send(part)).await;
    matches!(sent, Ok(Ok(())))
}

/// The parts as the body of an answer.
struct Parts(Receiver<Part>);

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, StoreError>>> {
        self.0
            .poll_recv(context)
            .map(|part| part.map(|part| part.map(http_body::Frame::data)))
    }
}
