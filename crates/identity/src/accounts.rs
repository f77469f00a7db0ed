//! Users, organizations and keys made without a request: the first administrator, the demo's data, tests.
//!
//! All of it runs inside a caller's transaction and writes no audit records: whoever calls knows what
//! happened.

use diesel::RunQueryDsl;
use kernel::{
    access::{Credential, Organization, Project, Role, User},
    http::shape::is_email,
    id::Id,
    json::JsonText,
    language::Language,
    store::{Failure, StoreError, Tx},
    time::Time,
};

use crate::{
    counters,
    credentials::{CredentialKind, Scope},
    keys, members,
    modules::Module,
    organizations::{OrganizationRow, OrganizationType, SupportPlan},
    project_members,
    projects::ProjectRow,
    schema::{organizations, projects, users},
    secrets::{Secrets, new_api_key},
    users::{UserRow, email_key, find_by_email},
};

/// What an organization may have until an operator allows more.
const USER_QUOTA: i64 = 50;
const PROJECT_QUOTA: i64 = 50;
const INSTANCE_QUOTA: i64 = 100;
const DOMAIN_QUOTA: i64 = 100;

/// An account can't be made.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Another user has this address.
    #[error("a user with the address {0} exists already")]
    DuplicateEmail(String),
    /// That is no mail address.
    #[error("`{0}` is no mail address")]
    InvalidEmail(String),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for AccountError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Failure for AccountError {
    fn is_contended(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_contended())
    }

    fn is_unavailable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_unavailable())
    }
}

/// A user to be made.
#[derive(Clone)]
pub struct NewUser {
    /// Address, unique without regard to case.
    pub email: String,
    /// PHC string, from [`Passwords::hash`](crate::passwords::Passwords::hash); without one there is no login
    /// by password.
    pub password_hash: Option<String>,
    /// First name, or nothing.
    pub first_name: String,
    /// Last name, or nothing.
    pub last_name: String,
    /// Whether the user operates this installation.
    pub is_staff: bool,
    /// Language of mails and console.
    pub language: Language,
}

impl std::fmt::Debug for NewUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

/// Makes a user whose address counts as verified.
///
/// # Errors
/// The address is taken, or is none.
pub fn create_user(tx: &mut Tx<'_>, new: NewUser) -> Result<Id<User>, AccountError> {
    let email = new.email.trim().to_owned();
    if !is_email(&email) || email.chars().count() > 254 {
        return Err(AccountError::InvalidEmail(email));
    }
    let key = email_key(&email);
    if find_by_email(tx.conn(), &key)?.is_some() {
        return Err(AccountError::DuplicateEmail(email));
    }
    let now = tx.now();
    let row = UserRow {
        email_key: key,
        email_verified: true,
        password_hash: new.password_hash,
        first_name: new.first_name,
        last_name: new.last_name,
        language: new.language,
        is_staff: new.is_staff,
        ..UserRow::new(Id::new(), counters::next(tx, "users")?, &email, now)
    };
    let made = diesel::insert_into(users::table).values(&row).execute(tx.conn());
    match made.map_err(StoreError::from) {
        Ok(_) => Ok(row.id),
        // Another transaction was faster.
        Err(StoreError::Duplicate(what)) if what.contains("email_key") => {
            Err(AccountError::DuplicateEmail(row.email))
        }
        Err(error) => Err(error.into()),
    }
}

/// What the first project of an organization is called.
pub(crate) const FIRST_PROJECT: &str = "Default";

/// Makes an organization that `owner` owns, with a first project called "Default" and all modules.
///
/// # Errors
/// The database refused.
pub fn create_organization(
    tx: &mut Tx<'_>,
    name: &str,
    owner: Id<User>,
) -> Result<(Id<Organization>, Id<Project>), StoreError> {
    let row = new_organization(tx, name)?;
    let project = insert_organization(tx, &row, owner)?;
    Ok((row.id, project))
}

/// How an organization begins; not in the database yet.
pub(crate) fn new_organization(tx: &mut Tx<'_>, name: &str) -> Result<OrganizationRow, StoreError> {
    let now = tx.now();
    Ok(OrganizationRow {
        id: Id::new(),
        legacy_id: counters::next(tx, "organizations")?,
        name: name.to_owned(),
        modules: Module::write(Module::ALL),
        organization_type: OrganizationType::Personal,
        support_plan: SupportPlan::Basic,
        user_quota: USER_QUOTA,
        project_quota: PROJECT_QUOTA,
        instance_quota: INSTANCE_QUOTA,
        domain_quota: DOMAIN_QUOTA,
        logo: String::new(),
        company_name: String::new(),
        address_1: String::new(),
        address_2: String::new(),
        city: String::new(),
        state: String::new(),
        postcode: String::new(),
        country: String::new(),
        phone: String::new(),
        vat_number: String::new(),
        is_active: true,
        created: now,
        modified: now,
        deleted_at: None,
    })
}

/// Writes a new organization with its owner and its first project.
pub(crate) fn insert_organization(
    tx: &mut Tx<'_>,
    row: &OrganizationRow,
    owner: Id<User>,
) -> Result<Id<Project>, StoreError> {
    diesel::insert_into(organizations::table)
        .values(row)
        .execute(tx.conn())?;
    add_member(tx, row.id, owner, Role::Owner)?;
    create_project(tx, row.id, FIRST_PROJECT, true, Some(owner))
}

/// Makes a project.
///
/// # Errors
/// The organization has one of that name, or the database refused.
pub fn create_project(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    name: &str,
    is_default: bool,
    created_by: Option<Id<User>>,
) -> Result<Id<Project>, StoreError> {
    let row = ProjectRow {
        is_default,
        created_by,
        ..ProjectRow::new(tx, organization, name)?
    };
    diesel::insert_into(projects::table)
        .values(&row)
        .execute(tx.conn())?;
    Ok(row.id)
}

/// Makes `user` a member of an organization.
///
/// # Errors
/// They are one already, or the database refused.
pub fn add_member(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    user: Id<User>,
    role: Role,
) -> Result<(), StoreError> {
    members::insert(tx, organization, user, role, None).map(drop)
}

/// Makes `user` a member of a project: a guest's way in, for others a narrower role. Not for [`Role::Guest`].
///
/// # Errors
/// They are one already, or the database refused.
pub fn add_project_member(
    tx: &mut Tx<'_>,
    project: Id<Project>,
    user: Id<User>,
    role: Role,
) -> Result<(), StoreError> {
    project_members::insert(tx, project, user, role, None).map(drop)
}

/// An API key or project token to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Whose rights it has at most.
    pub user: Id<User>,
    /// Label.
    pub name: String,
    /// What it may be used for. A project token gets only the ones that lie in a project.
    pub scopes: Vec<Scope>,
    /// The one organization that it reaches; a project token needs it.
    pub organization: Option<Id<Organization>>,
    /// The one project that a token reaches.
    pub project: Option<Id<Project>>,
    /// When it ends, if ever.
    pub expires_at: Option<Time>,
    /// An API key or a project token.
    pub kind: CredentialKind,
}

/// Makes an API key or project token. The second value is the secret itself, which can't be had again.
///
/// # Errors
/// The database refused.
pub fn create_api_key(
    tx: &mut Tx<'_>,
    secrets: &Secrets,
    new: NewKey,
) -> Result<(Id<Credential>, String), StoreError> {
    let NewKey {
        user,
        name,
        mut scopes,
        organization,
        project,
        expires_at,
        kind,
    } = new;
    if kind == CredentialKind::ProjectToken {
        scopes.retain(|scope| scope.is_of_project());
    }
    let now = tx.now();
    let (key, prefix) = new_api_key();
    let row = keys::NewCredential {
        id: Id::new(),
        kind,
        user_id: user,
        name,
        prefix,
        secret_hash: secrets.hash_token(&key),
        scopes: JsonText::of(&scopes),
        allowed_ips: JsonText::of::<[&str]>(&[]),
        organization_id: organization,
        project_id: project,
        expires_at,
        user_agent: String::new(),
        created: now,
        modified: now,
    };
    keys::insert(tx, &row)?;
    Ok((row.id, key))
}
