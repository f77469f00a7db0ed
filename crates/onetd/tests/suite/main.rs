//! The whole suite over HTTP, one file a subject, on both databases.
#![allow(missing_docs, reason = "tests are named for what they show")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that finds nothing to unwrap has failed"
)]

mod account_pages;
mod accounts;
mod addresses;
mod answers;
mod api_keys;
mod audit_chain;
mod audit_figures;
mod audit_logs;
mod authorization;
mod billing;
mod catalogue;
mod concurrency;
mod consoles;
mod consoles_real;
mod contract;
mod crash;
mod images;
mod instances_create;
mod instances_lifecycle;
mod instances_list;
mod instances_replace;
mod invitations;
mod limits;
mod login;
mod machines;
mod machines_debian;
mod machines_real;
mod machines_storm;
mod mail;
mod members;
mod metrics;
mod mfa;
mod notification_preferences;
mod notifications;
mod oauth;
mod oauth_double;
mod oauth_real;
mod organizations;
mod people;
mod profile;
mod program;
mod project_tokens;
mod projects;
mod reconciler;
mod reconciler_figures;
mod roles;
mod schemathesis;
mod ssh_keys;
mod store;
mod tasks;
mod tokens;
mod users;
mod webauthn;
mod webhook_receiver;
mod yard;
