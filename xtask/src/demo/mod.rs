//! `cargo xtask demo`: from a fresh clone to a running server that has just done its main job.

mod client;
mod data_dir;
mod logins;
mod machine;
mod server;
mod tour;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::interrupt;
use crate::packages::{self, Need};
use crate::screen::Screen;
use crate::workspace::{Workspace, relative};
use client::Client;
use data_dir::DataDir;
use logins::Logins;
use server::{Onetd, Server};

/// How to run the demo.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Where onetd listens on 127.0.0.1.
    pub(crate) port: u16,
    /// Where its data goes.
    pub(crate) data_dir: PathBuf,
    /// Whether to stop when the tour is over.
    pub(crate) once: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 8080,
            data_dir: "onet-data".into(),
            once: false,
        }
    }
}

/// Builds, starts, shows and keeps serving.
pub(crate) fn perform(workspace: &Workspace, options: &Options) -> Result<()> {
    let screen = Screen::stdout();
    // All that may be refused is refused before minutes are spent on building.
    packages::ensure(Need::Build)?;
    check_port(options.port)?;
    let data_dir = DataDir::inspect(&options.data_dir, workspace)?;

    screen.heading("Build onetd (the first time takes minutes)");
    let program = workspace.build_onetd()?;
    interrupt::check()?;

    screen.heading("Load the demo data and start");
    machine::sweep(&options.data_dir);
    let data_dir = data_dir.make_fresh()?;
    let onetd = Onetd { program, data_dir };
    let loaded = onetd.load_demo_data()?;
    let with_machine = machine::prepare(&onetd, &loaded, &workspace.target.join("demo-image"), screen)?;
    let mut server = Server::start(&onetd, options.port)?;
    let base_url = format!("http://127.0.0.1:{}", options.port);
    let client = Client::new(&base_url);
    server.wait_until_ready(&client)?;
    screen.good(&format!("onetd is ready at {base_url}"));

    let logins = tour::perform(&client, loaded, screen).map_err(|error| server.explain(error))?;
    let path = onetd.data_dir.join(data_dir::LOGINS);
    logins.save(&path)?;
    if with_machine {
        let shown = machine::perform(&client, &logins, screen);
        // Whatever has become of it: none is left behind.
        machine::sweep(&onetd.data_dir);
        shown.map_err(|error| server.explain(error))?;
    }

    if options.once {
        server.stop()?;
        screen.heading("The demo is over: all of it worked, and onetd has stopped.");
        screen.line(&format!(
            "  Its data and logins are in {}.",
            relative(&onetd.data_dir)
        ));
        return Ok(());
    }
    where_next(&logins, &onetd, screen)?;
    server.serve_until_interrupted()?;
    screen.heading("onetd has stopped. `cargo xtask demo` starts it afresh.");
    Ok(())
}

fn check_port(port: u16) -> Result<()> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    bound.map(drop).with_context(|| {
        format!("can't listen on 127.0.0.1:{port}; end what does, or choose another port with --port")
    })
}

fn where_next(logins: &Logins, onetd: &Onetd, screen: Screen) -> Result<()> {
    let base_url = logins.customer("base_url")?;
    let instances = tour::instances_path(logins)?;
    screen.heading("Where to go next");
    screen.line(&format!("  Read the API's documentation  {base_url}/docs"));
    screen.line(&format!("  Get the OpenAPI document      {base_url}/schema"));
    screen.line(&format!("  Read the mails that it sends  {base_url}/mailbox"));
    screen.line(&format!(
        "  Log in                        {}",
        logins.customer("email")?
    ));
    screen.line(&format!(
        "  with the password             {}",
        logins.customer("password")?
    ));
    screen.line(&format!(
        "  All ids, keys and tokens      {}",
        relative(&onetd.data_dir.join(data_dir::LOGINS))
    ));
    screen.line(&format!(
        "  What the server says          {}",
        relative(&onetd.log())
    ));
    screen.line("  Call it yourself:\n");
    let key = logins.customer("api_key")?;
    screen.line(&format!(
        "curl -H 'Authorization: Bearer {key}' '{base_url}{instances}?page_size=5'"
    ));
    screen.heading("onetd keeps running; Ctrl-C stops it.");
    Ok(())
}
