//! What API keys and project tokens have in common: a secret for programs, shown once, with scopes, an expiry and the
//! addresses that it may be used from.
//!
//! What is stored of a secret is its keyed hash and its first characters. Revoking is immediate and final; the row stays,
//! for the audit log's sake. A rotation gives the same key another secret; the former one ends at once, or works through
//! a grace period. The two nouns, `api_keys` and `project_tokens`, differ in whose they are ([`Holder`]) and in what
//! they look like on the wire.

pub(crate) mod api;
mod change;
pub(crate) mod rows;
mod rules;
pub(crate) mod scopes;

pub(crate) use self::{
    change::{Desk, NewSecret, create, revoke, revoke_row, rotate, update},
    rows::{Holder, KeyRow, NewCredential, insert},
};
