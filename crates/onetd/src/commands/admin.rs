//! Creates the first operator, and further ones.

use std::io::Read;

use clap::Args;
use kernel::{
    audit::{AuditStatus, Changes, Event, Origin},
    http::ApiError,
    time::Clock,
};
use rand::{RngExt, distr::Alphanumeric};

use super::{runtime, settings};
use crate::{cli::Places, server::Onet};

/// Who is to be created.
#[derive(Clone, Debug, Args)]
pub(crate) struct NewAdmin {
    /// The address to log in with.
    #[arg(long)]
    email: String,
    #[arg(long, default_value = "")]
    first_name: String,
    #[arg(long, default_value = "")]
    last_name: String,
    /// Read the password from standard input. Without it one is made and shown once.
    #[arg(long)]
    password_stdin: bool,
    /// The organization to create with the user.
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
}

pub(crate) fn create(places: &Places, admin: NewAdmin) -> Result<(), String> {
    let (password, made) = if admin.password_stdin {
        (read_password()?, false)
    } else {
        (random_password(), true)
    };
    check(&admin.email, &password)?;
    let config = settings(places)?;
    runtime()?.block_on(async {
        let onet = Onet::open(config, Clock::default())?;
        let hash = onet
            .identity
            .passwords()
            .hash(password.clone())
            .await
            .map_err(|error| error.to_string())?;
        let email = admin.email.clone();
        let work = move |tx: &mut kernel::store::Tx<'_>| {
            let user = identity::accounts::NewUser {
                email: admin.email.clone(),
                password_hash: Some(hash.clone()),
                first_name: admin.first_name.clone(),
                last_name: admin.last_name.clone(),
                is_staff: true,
                language: identity::Language::En,
            };
            let user = identity::accounts::create_user(tx, user).map_err(refusal)?;
            if let Some(name) = &admin.organization {
                identity::accounts::create_organization(tx, name, user)?;
            }
            let event = Event {
                action: "user.created",
                resource_type: "user",
                resource_id: user.cast(),
                resource_name: admin.email.clone(),
                description: "Operator created on the command line".to_owned(),
                changes: Changes::default(),
                status: AuditStatus::Success,
            };
            tx.audit(&Origin::system("onetd create-admin"), None, None, &event)?;
            Ok::<_, ApiError>(user)
        };
        let user = onet
            .app
            .store()
            .write("create_admin", work)
            .await
            .map_err(|error| error.to_string())?;
        println!("Created {email} ({user}).");
        if made {
            println!("Password: {password}");
        }
        Ok(())
    })
}

fn read_password() -> Result<String, String> {
    let mut text = String::new();
    std::io::stdin()
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn random_password() -> String {
    // Digits and both cases are in it with near certainty; 24 characters make it strong in any case.
    let random = rand::rng().sample_iter(Alphanumeric).take(24).map(char::from);
    format!("Aa1{}", random.collect::<String>())
}

fn check(email: &str, password: &str) -> Result<(), String> {
    if !kernel::http::shape::is_email(email) {
        return Err(format!("--email: `{email}` is no e-mail address"));
    }
    let has = |test: fn(char) -> bool| password.chars().any(test);
    let strong = has(char::is_uppercase) && has(char::is_lowercase) && has(|c| c.is_ascii_digit());
    if !(8..=128).contains(&password.chars().count()) || !strong {
        return Err(
            "the password must have 8 to 128 characters, an upper-case and a lower-case letter, and a digit"
                .to_owned(),
        );
    }
    Ok(())
}

fn refusal(error: identity::accounts::AccountError) -> ApiError {
    match error {
        identity::accounts::AccountError::Store(error) => error.into(),
        taken => ApiError::refused(taken.to_string()),
    }
}
