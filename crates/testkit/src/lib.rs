//! The harness of all tests.
//!
//! A [`Server`] is a whole onetd in this process, on a free port, with its own database, a clock that the test turns
//! and the demo's people in it. Its [`Client`]s hold every answer against the OpenAPI document ([`conformance`]): no
//! test needs to think of that. [`on_both!`] runs a test on SQLite and on PostgreSQL.

pub mod client;
pub mod conformance;
pub mod postgres;
pub mod process;
pub mod server;
pub mod smtp;
pub mod stripe;

pub use self::{
    client::{Answer, Client},
    server::{Engine, Server},
    smtp::SmtpServer,
};

/// Makes two tests of one, `sqlite` and `postgres`, in a module named after it.
///
/// The body gets a fresh [`Server`] of its own; the optional second argument changes its settings first.
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($server:ident: Server $(, |$config:ident| $tweak:block)?) $body:block)+) => { $(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "not every test uses what its file does")]
            use super::*;

            async fn check($server: $crate::Server) $body

            #[allow(unused_mut, unused_variables, reason = "most tests change no setting")]
            fn tweak(config: &mut $crate::server::Config) {
                $( let $config = config; $tweak )?
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                check($crate::Server::start($crate::Engine::Sqlite, tweak).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                check($crate::Server::start($crate::Engine::Postgres, tweak).await).await;
            }
        }
    )+ };
}
