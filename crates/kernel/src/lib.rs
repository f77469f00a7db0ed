//! What every area of onet shares.
//!
//! The kernel knows nothing of instances, users or invoices. It offers the road that each request and each task
//! takes: [`http`] (one way in, one way to refuse), [`access`] (who may), [`store`] (one way to read and to write,
//! on two databases), [`tasks`] (work that outlives a crash), [`audit`] (what happened), [`mail`] (who is told), [`secrets`], and the small types that
//! all of them speak: [`id`], [`time`], [`money`], [`json`].

pub mod access;
pub mod app;
pub mod audit;
pub mod background;
pub mod config;
pub mod crash;
pub mod http;
pub mod id;
pub mod json;
pub mod language;
pub mod mail;
pub mod money;
pub mod openapi;
pub mod outbound;
pub mod reverse_dns;
pub mod schema;
pub mod secrets;
pub mod store;
pub mod tasks;
pub mod time;

pub use app::App;
