//! The road of a request: one way in, one way to refuse.
//!
//! From outside in: [`serve`] (connections, head timeout, graceful stop) → trailing slash → [`envelope`] (request id,
//! trace, timeout, panics, how errors are worded, `If-None-Match`, metrics) → CORS → [`gate`] (limits by address,
//! the bearer token, limits by credential) → the route. A handler's first argument is its authorization
//! ([`crate::access`]), the last its body and preconditions ([`Change`]).

mod answer;
mod change;
pub mod docs;
mod envelope;
mod error;
mod events;
mod facts;
mod gate;
mod idempotency;
pub mod limits;
mod page;
mod query;
mod router;
mod serve;
pub mod shape;
mod upload;

pub use self::{
    answer::{Answer, File, Versioned, reveal},
    change::NoBody,
    change::{Body, Change},
    error::{ApiError, ApiResult, Faults, NON_FIELD, Refusals, WriteRefusals},
    events::Events,
    facts::{NamedInPaths, NestedId, PathId, Request, RequestFacts},
    idempotency::{RunningKeys, forget_old_keys},
    page::{Page, PageOf},
    query::{Query, contains_pattern},
    router::{Areas, build},
    serve::serve,
    upload::{Part, Upload},
};
