//! What operators do for users, and to them. It counts at once, also on servers that are running.

use clap::{Args, Subcommand};
use identity::operators::{self, Account, AccountDetails, Deed};
use kernel::{http::ApiError, time::Clock};

use super::{runtime, settings};
use crate::{cli::Places, server::Onet};

/// What is to be done.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum What {
    /// List users, by address.
    List {
        /// Only those whose address contains this.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Show a user with second factors, sessions, keys and organizations.
    Show(Who),
    /// Lock an account: its sessions end, its keys are refused.
    Disable(Who),
    /// Open a locked account again.
    Enable(Who),
    /// End every session of a user.
    EndSessions(Who),
    /// Take away a user's second factors, passkeys and remembered devices, when they are lost.
    ResetMfa(Who),
    /// Take a user's address as confirmed.
    VerifyEmail(Who),
}

/// Which user.
#[derive(Clone, Debug, Args)]
pub(crate) struct Who {
    /// The user's address.
    email: String,
}

pub(crate) fn run(places: &Places, what: What) -> Result<(), String> {
    let config = settings(places)?;
    runtime()?.block_on(async {
        let onet = Onet::open(config, Clock::default())?;
        let done = match what {
            What::List { search, limit } => list(&onet, search, limit).await,
            What::Show(who) => show(&onet, who).await,
            What::Disable(who) => act(&onet, "onetd user disable", who, Deed::Disable).await,
            What::Enable(who) => act(&onet, "onetd user enable", who, Deed::Enable).await,
            What::EndSessions(who) => act(&onet, "onetd user end-sessions", who, Deed::EndSessions).await,
            What::ResetMfa(who) => act(&onet, "onetd user reset-mfa", who, Deed::ResetMfa).await,
            What::VerifyEmail(who) => act(&onet, "onetd user verify-email", who, Deed::VerifyEmail).await,
        };
        done.map_err(|error| error.to_string())
    })
}

async fn act(onet: &Onet, command: &'static str, who: Who, deed: Deed) -> Result<(), ApiError> {
    let (identity, email) = (onet.identity.clone(), who.email.clone());
    let said = onet
        .app
        .store()
        .write("operator", move |tx| {
            operators::act(tx, &identity, command, &email, deed)
        })
        .await?;
    println!("{} {said}.", who.email);
    Ok(())
}

async fn list(onet: &Onet, search: Option<String>, limit: u16) -> Result<(), ApiError> {
    let users = onet
        .app
        .store()
        .read("operator", move |conn| {
            Ok::<_, ApiError>(operators::list(conn, search.as_deref(), limit.into())?)
        })
        .await?;
    for user in &users {
        println!("{}\t{}\t{}", user.email, state(user), user.name);
    }
    if users.len() == usize::from(limit) {
        println!("(the first {limit}; narrow them down with --search)");
    }
    Ok(())
}

fn state(user: &Account) -> String {
    let mut words = vec![if user.is_active { "active" } else { "disabled" }];
    if user.is_staff {
        words.push("operator");
    }
    if !user.email_verified {
        words.push("unconfirmed");
    }
    if user.deletion_at.is_some() {
        words.push("to be deleted");
    }
    words.join(", ")
}

async fn show(onet: &Onet, who: Who) -> Result<(), ApiError> {
    let now = onet.app.clock().now();
    let details = onet
        .app
        .store()
        .read("operator", move |conn| operators::show(conn, &who.email, now))
        .await?;
    let AccountDetails {
        account,
        second_factors,
        recovery_codes,
        sessions,
        api_keys,
        organizations,
    } = details;
    let last_login = account
        .last_login
        .map_or_else(|| "never".to_owned(), |time| time.to_string());
    let password = if account.has_password { "yes" } else { "no" };
    let factors = if second_factors.is_empty() {
        "none".to_owned()
    } else {
        second_factors.join(", ")
    };
    println!("id              {}", account.id);
    println!("address         {}", account.email);
    println!("name            {}", account.name);
    println!("state           {}", state(&account));
    println!("created         {}", account.created);
    println!("last login      {last_login}");
    println!("password        {password}");
    println!("second factors  {factors}");
    println!("recovery codes  {recovery_codes}");
    println!("sessions        {sessions}");
    println!("API keys        {api_keys}");
    for (name, role) in organizations {
        println!("organization    {name} ({})", role.as_str());
    }
    Ok(())
}
