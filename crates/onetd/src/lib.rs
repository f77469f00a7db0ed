//! The control plane of a cloud-hosting provider, in one program: the areas wired together.

mod account_pages;
pub mod cli;
mod commands;
pub mod demo;
mod docs_page;
mod logging;
pub mod openapi;
pub mod server;
