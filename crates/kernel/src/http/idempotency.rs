//! `Idempotency-Key`: a write with a key is done once, and its first answer is given again for a day.
//!
//! The record is written in the transaction of the write itself, so that neither exists without the other. A
//! refusal changes nothing and is not kept: the same key may be tried again. Follows
//! draft-ietf-httpapi-idempotency-key-header: 422 for another request under the same key, 409 while the first runs.

use std::{
    collections::HashSet,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use diesel::{ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, RunQueryDsl};
use http::{StatusCode, request::Parts};
use sha2::{Digest, Sha256};

use super::{
    answer::Rendered,
    error::{ApiError, ApiResult},
};
use crate::{
    App,
    access::User,
    id::Id,
    json::JsonText,
    schema::idempotency_keys,
    store::{StoreError, Tx},
    time::Time,
};

#[derive(Queryable, Insertable)]
#[diesel(table_name = idempotency_keys)]
struct KeyRow {
    owner: Id<User>,
    idempotency_key: String,
    fingerprint: String,
    status: i32,
    headers: JsonText,
    body: String,
    created: Time,
}

/// A client's key, and what its request looks like.
#[derive(Clone, Debug)]
pub(super) struct Key {
    key: String,
    fingerprint: String,
}

impl Key {
    pub(super) fn read(parts: &Parts, body: &[u8]) -> ApiResult<Option<Self>> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(None);
        };
        let key = value.to_str().unwrap_or_default().trim().trim_matches('"');
        if key.is_empty() || key.len() > 255 {
            return Err(ApiError::refused(
                "Idempotency-Key must be 1 to 255 visible ASCII characters.",
            ));
        }
        let mut hash = Sha256::new();
        for part in [
            parts.method.as_str().as_bytes(),
            parts.uri.path().as_bytes(),
            body,
        ] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let fingerprint = hash.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Ok(Some(Self {
            key: key.to_owned(),
            fingerprint,
        }))
    }

    /// The answer that was given under this key, if any.
    pub(super) fn find(&self, tx: &mut Tx<'_>, owner: Id<User>) -> ApiResult<Option<Rendered>> {
        let row: Option<KeyRow> = idempotency_keys::table
            .find((owner, &self.key))
            .first(tx.conn())
            .optional()?;
        let Some(row) = row else { return Ok(None) };
        if row.fingerprint != self.fingerprint {
            let detail = "This Idempotency-Key was used for another request.";
            return Err(ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                detail,
            ));
        }
        Ok(Some(Rendered {
            status: u16::try_from(row.status)
                .ok()
                .and_then(|code| StatusCode::from_u16(code).ok())
                .unwrap_or_default(),
            headers: row.headers.read().map_err(ApiError::internal)?,
            body: Bytes::from(row.body),
        }))
    }

    /// Keeps the answer. Two nodes that run the same key at once meet here: the second transaction fails as a whole.
    pub(super) fn keep(&self, tx: &mut Tx<'_>, owner: Id<User>, answer: &Rendered) -> ApiResult<()> {
        let row = KeyRow {
            owner,
            idempotency_key: self.key.clone(),
            fingerprint: self.fingerprint.clone(),
            status: i32::from(answer.status.as_u16()),
            headers: JsonText::of(&answer.headers),
            body: String::from_utf8(answer.body.to_vec()).map_err(ApiError::internal)?,
            created: tx.now(),
        };
        let done = diesel::insert_into(idempotency_keys::table)
            .values(&row)
            .execute(tx.conn());
        match done.map_err(StoreError::from) {
            Err(StoreError::Duplicate(_)) => Err(running()),
            other => Ok(other.map(drop)?),
        }
    }
}

fn running() -> ApiError {
    let detail = "A request with this Idempotency-Key is still running.";
    ApiError::new(StatusCode::CONFLICT, "idempotency_key_in_use", detail)
}

/// The keys whose requests run in this process at this moment.
#[derive(Clone, Debug, Default)]
pub struct RunningKeys(Arc<Mutex<HashSet<Entry>>>);

/// A caller and one of its keys.
type Entry = (Id<User>, String);

/// Marks a key as running until it is dropped.
#[derive(Debug)]
pub(super) struct Running {
    keys: RunningKeys,
    entry: Entry,
}

impl RunningKeys {
    pub(super) fn enter(&self, owner: Id<User>, key: &Key) -> ApiResult<Running> {
        let entry = (owner, key.key.clone());
        let fresh = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(entry.clone());
        if fresh {
            Ok(Running {
                keys: self.clone(),
                entry,
            })
        } else {
            Err(running())
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.keys
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.entry);
    }
}

/// Forgets the answers that were kept long enough. Run now and then by the server.
///
/// # Errors
/// The database refused.
pub async fn forget_old_keys(app: &App) -> ApiResult<usize> {
    let keep = Duration::from_hours(app.config().idempotency.keep_hours);
    let before = app.clock().now() - keep;
    // Looked at first: a write that changes nothing would still be a commit at every start.
    let oldest = app.store().read("oldest_idempotency_key", move |conn| {
        let old = idempotency_keys::table.filter(idempotency_keys::created.lt(before));
        Ok::<_, ApiError>(
            old.select(idempotency_keys::created)
                .first::<Time>(conn)
                .optional()?,
        )
    });
    if oldest.await?.is_none() {
        return Ok(0);
    }
    app.store()
        .write("forget_idempotency_keys", move |tx| {
            let old = idempotency_keys::table.filter(idempotency_keys::created.lt(before));
            Ok(diesel::delete(old).execute(tx.conn())?)
        })
        .await
}
