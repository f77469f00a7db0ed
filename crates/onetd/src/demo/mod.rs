//! Data to look around in: two people, two organizations, their projects, a catalogue, networks, instances.
//!
//! The same on every run but for ids and secrets. With larger amounts it is what the benchmarks run on.

mod catalogue;
mod instances;

use clap::Args;
use diesel::{QueryDsl, RunQueryDsl};
use identity::{
    accounts,
    credentials::{CredentialKind, Scope},
    schema::users,
};
use kernel::{
    access::{OrganizationId, ProjectId, Role, UserId},
    http::ApiError,
    id::Id,
};
use serde::Serialize;

use crate::server::Onet;

/// How much of it.
#[derive(Clone, Copy, Debug, Args)]
pub struct Amounts {
    /// Projects of each organization.
    #[arg(long, default_value_t = 2)]
    pub projects: usize,
    /// Instances in each project of the first organization; the second has 3 in each of its first two projects.
    #[arg(long, default_value_t = 12)]
    pub instances: usize,
}

impl Default for Amounts {
    fn default() -> Self {
        Self {
            projects: 2,
            instances: 12,
        }
    }
}

/// What a script needs to call the API as one person.
#[derive(Clone, Debug, Serialize)]
pub struct Person {
    /// To log in with.
    pub email: String,
    /// To log in with.
    pub password: String,
    /// With all scopes.
    pub api_key: String,
    /// The person's organization.
    pub organization_id: OrganizationId,
    /// Its first project.
    pub project_id: ProjectId,
    /// An active instance in that project.
    pub instance_id: compute::instances::api::InstanceId,
}

/// What was loaded.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// Whose data it is.
    #[serde(flatten)]
    pub owner: Person,
    /// Somebody who must see nothing of it.
    pub stranger: Person,
}

struct Who {
    email: &'static str,
    password: &'static str,
    first_name: &'static str,
    last_name: &'static str,
    organization: &'static str,
}

const OWNER: Who = Who {
    email: "ada@example.com",
    password: "Correct-Horse-7",
    first_name: "Ada",
    last_name: "Martin",
    organization: "Lighthouse Labs",
};

const STRANGER: Who = Who {
    email: "basil@example.net",
    password: "Battery-Staple-8",
    first_name: "Basil",
    last_name: "Okafor",
    organization: "Harbour Works",
};

const PROJECTS: [&str; 2] = ["Default", "Website"];

/// Loads the data into an empty database.
///
/// # Errors
/// The database holds users already, or can't be written.
pub async fn load(onet: &Onet, amounts: &Amounts) -> Result<Facts, String> {
    let store = onet.app.store();
    let text = |error: ApiError| error.to_string();
    let taken = store
        .read("demo", |conn| {
            Ok::<_, ApiError>(users::table.count().get_result::<i64>(conn)?)
        })
        .await
        .map_err(text)?;
    if taken > 0 {
        return Err("the database holds users already: demo data goes into an empty one only".to_owned());
    }
    let catalogue = store
        .write("demo_catalogue", catalogue::load)
        .await
        .map_err(text)?;
    let rest = onet.app.config().compute.address_quarantine_hours;
    store
        .write("demo_pools", move |tx| catalogue::load_pools(tx, rest))
        .await
        .map_err(text)?;
    let mut people = Vec::new();
    let mut next = 0;
    for (who, each) in [(&OWNER, amounts.instances), (&STRANGER, amounts.instances.min(3))] {
        let (person, projects) = person(onet, who, amounts.projects.max(1)).await.map_err(text)?;
        let projects = if who.email == STRANGER.email {
            &projects[..projects.len().min(2)]
        } else {
            &projects[..]
        };
        let mut first = None;
        for project in projects {
            let place = instances::Place {
                organization: person.organization_id,
                project: *project,
            };
            let made = instances::load(onet, &catalogue, place, next, each)
                .await
                .map_err(text)?;
            next += each;
            first = first.or(made);
        }
        let instance_id = first.ok_or("at least one instance a project is needed")?;
        people.push(Person {
            instance_id,
            ..person
        });
    }
    let mut people = people.into_iter();
    match (people.next(), people.next()) {
        (Some(owner), Some(stranger)) => Ok(Facts { owner, stranger }),
        _ => Err("the demo's people are missing".to_owned()),
    }
}

/// Creates a person with an organization, its projects and a key with all scopes.
async fn person(
    onet: &Onet,
    who: &'static Who,
    projects: usize,
) -> Result<(Person, Vec<ProjectId>), ApiError> {
    let hash = onet.identity.passwords().hash(who.password.to_owned()).await?;
    let identity = onet.identity.clone();
    let work = move |tx: &mut kernel::store::Tx<'_>| {
        let user = create_user(tx, (who.email, who.first_name, who.last_name), &hash)?;
        let (organization, default_project) = accounts::create_organization(tx, who.organization, user)?;
        let mut all = vec![default_project];
        for number in 1..projects {
            let name = PROJECTS
                .get(number)
                .map_or_else(|| format!("Project {number}"), |name| (*name).to_owned());
            all.push(accounts::create_project(
                tx,
                organization,
                &name,
                false,
                Some(user),
            )?);
        }
        let (_, api_key) = accounts::create_api_key(tx, identity.secrets(), full_key(user, "Demo key"))?;
        let person = Person {
            email: who.email.to_owned(),
            password: who.password.to_owned(),
            api_key,
            organization_id: organization,
            project_id: default_project,
            instance_id: Id::from_uuid(uuid::Uuid::nil()),
        };
        Ok::<_, ApiError>((person, all))
    };
    onet.app.store().write("demo_person", work).await
}

/// Adds a member to the owner's organization: a viewer, an editor, a guest. For tests and demonstrations.
///
/// # Errors
/// The address is taken, or the database can't be written.
pub async fn add_member(
    onet: &Onet,
    organization: OrganizationId,
    email: &str,
    password: &str,
    role: Role,
) -> Result<(UserId, String), ApiError> {
    let hash = onet.identity.passwords().hash(password.to_owned()).await?;
    let (email, identity) = (email.to_owned(), onet.identity.clone());
    let work = move |tx: &mut kernel::store::Tx<'_>| {
        let user = create_user(tx, (&email, "", ""), &hash)?;
        accounts::add_member(tx, organization, user, role)?;
        let (_, key) = accounts::create_api_key(tx, identity.secrets(), full_key(user, "Member key"))?;
        Ok::<_, ApiError>((user, key))
    };
    onet.app.store().write("demo_member", work).await
}

fn create_user(
    tx: &mut kernel::store::Tx<'_>,
    (email, first_name, last_name): (&str, &str, &str),
    hash: &str,
) -> Result<UserId, ApiError> {
    let new = accounts::NewUser {
        email: email.to_owned(),
        password_hash: Some(hash.to_owned()),
        first_name: first_name.to_owned(),
        last_name: last_name.to_owned(),
        is_staff: false,
        language: identity::Language::En,
    };
    accounts::create_user(tx, new).map_err(|error| match error {
        accounts::AccountError::Store(error) => error.into(),
        taken => ApiError::refused(taken.to_string()),
    })
}

/// A key that may do all that its owner may.
fn full_key(user: UserId, name: &str) -> accounts::NewKey {
    accounts::NewKey {
        user,
        name: name.to_owned(),
        scopes: Scope::ALL.to_vec(),
        organization: None,
        project: None,
        expires_at: None,
        kind: CredentialKind::ApiKey,
    }
}
