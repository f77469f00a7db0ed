//! Who calls, and what they may do.
//!
//! The kernel knows roles, permissions and the shape of a caller; [`Access`] is what the identity area implements to
//! find them. A handler asks by the type of its first argument: [`ProjectScope<P>`] or [`OrganizationScope<P>`]
//! answers 401, 404 or 403 itself, so that an operation without a permission can't be written by accident.

use std::{future::Future, marker::PhantomData, net::IpAddr, pin::Pin};

use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use http::{StatusCode, request::Parts};

use crate::{
    App,
    http::{ApiError, ApiResult, RequestFacts},
    id::Id,
    time::Time,
};

/// Names the ids of users.
#[derive(Debug)]
pub enum User {}
/// Names the ids of organizations.
#[derive(Debug)]
pub enum Organization {}
/// Names the ids of projects.
#[derive(Debug)]
pub enum Project {}
/// Names the ids of credentials: sessions, API keys, project tokens.
#[derive(Debug)]
pub enum Credential {}

/// The id of a user.
pub type UserId = Id<User>;
/// The id of an organization.
pub type OrganizationId = Id<Organization>;
/// The id of a project.
pub type ProjectId = Id<Project>;
/// The id of a credential.
pub type CredentialId = Id<Credential>;

crate::words! {
    /// What a member may do, from least to most: each role has the permissions of those before it.
    #[derive(PartialOrd, Ord)]
    // `Role` is the document's name for a role with what it grants.
    #[schema(as = RoleWord)]
    pub enum Role {
        /// Only the projects given.
        Guest = "guest",
        /// Reads everything, changes nothing.
        Viewer = "viewer",
        /// Manages resources; no billing, settings or members.
        Editor = "editor",
        /// Everything.
        Owner = "owner",
    }
}

crate::words! {
    /// What kind of credential stands behind a request, or that none does.
    pub enum ActorType {
        /// A login.
        User = "user",
        /// An API key.
        ApiKey = "api_key",
        /// A project's token.
        ProjectToken = "project_token",
        /// onet itself.
        System = "system",
    }
}

/// A right to do one kind of thing, known to the compiler.
pub trait Permission: Send + Sync + 'static {
    /// A noun and a verb: `compute.instances.update`.
    const NAME: &'static str;
    /// The least role, in the scope in which it is asked for.
    const ROLE: Role;
    /// The scope that an API key or project token needs: `compute:write`.
    const SCOPE: &'static str;
}

/// A permission as data: what roles are listed with, and what the document's `x-permission` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// [`Permission::NAME`].
    pub name: &'static str,
    /// [`Permission::ROLE`].
    pub role: Role,
    /// [`Permission::SCOPE`].
    pub scope: &'static str,
    /// Why it exists, for humans: the declaration's comment.
    pub description: &'static str,
}

/// Declares permissions: `permissions! { /// Why. InstancesUpdate = "compute.instances.update", Editor, "compute:write"; }`
///
/// They are also listed in a constant `PERMISSIONS` beside them, which the area hands over with those of its other
/// nouns: what no area hands over is in no role's list, and a test compares that list with the document.
#[macro_export]
macro_rules! permissions {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $role:ident, $scope:literal;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub enum $name {}

            impl $crate::access::Permission for $name {
                const NAME: &'static str = $text;
                const ROLE: $crate::access::Role = $crate::access::Role::$role;
                const SCOPE: &'static str = $scope;
            }
        )+

        /// The permissions declared here.
        pub(crate) const PERMISSIONS: &[$crate::access::Declared] = &[$(
            $crate::access::Declared {
                name: $text,
                role: $crate::access::Role::$role,
                scope: $scope,
                description: concat!($($doc),+).trim_ascii(),
            },
        )+];
    };
}

/// What a bearer token claims to be, before the database has been asked.
#[derive(Clone, Debug)]
pub enum Bearer {
    /// A valid signature of ours names this session.
    Session {
        /// The session's id (`sid`).
        id: Id<Credential>,
        /// When the access token ends.
        expires_at: Time,
    },
    /// The keyed hash of an API key or project token.
    Secret {
        /// As it is stored.
        hash: String,
    },
}

/// Why a bearer token is not accepted.
#[derive(Clone, Debug)]
pub struct AuthFault {
    /// Stable reason.
    pub code: &'static str,
    /// For humans.
    pub detail: &'static str,
}

impl From<AuthFault> for ApiError {
    fn from(fault: AuthFault) -> Self {
        Self::unauthenticated(fault.code, fault.detail)
    }
}

/// No credential at all.
pub const MISSING: AuthFault = AuthFault {
    code: "not_authenticated",
    detail: "Authentication credentials were not provided.",
};
/// Not one of ours, expired or revoked: the answer does not say which.
pub const INVALID: AuthFault = AuthFault {
    code: "token_not_valid",
    detail: "Given token not valid for any token type",
};

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user, or the owner of the key.
    pub user: Id<User>,
    /// The user's address.
    pub email: String,
    /// The user's name, or the address if there is none.
    pub name: String,
    /// Whether the user operates this installation.
    pub is_staff: bool,
    /// What kind of credential was shown.
    pub actor_type: ActorType,
    /// The session, key or token.
    pub credential: Id<Credential>,
    /// What the key is called; the user's name for a session.
    pub credential_name: String,
    /// The scopes of a key or token; `None` for a login, which has them all.
    pub scopes: Option<Vec<String>>,
    /// The one organization that a key or token is for.
    pub organization: Option<Id<Organization>>,
    /// The one project that a token is for.
    pub project: Option<Id<Project>>,
    /// When the access token or key ends.
    pub expires_at: Option<Time>,
    /// When the user last proved who they are in this session; `None` for keys and tokens.
    pub authenticated_at: Option<Time>,
}

impl Caller {
    /// Whether the credential's scopes allow `scope`. `…:write` includes `…:read`.
    pub fn has_scope(&self, scope: &str) -> bool {
        let Some(scopes) = &self.scopes else { return true };
        let (area, verb) = scope.split_once(':').unwrap_or((scope, ""));
        scopes.iter().any(|held| {
            held == scope || (verb == "read" && held.strip_suffix(":write").is_some_and(|held| held == area))
        })
    }
}

/// What a caller may reach in an organization, and in a project of it.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The organization.
    pub organization: Id<Organization>,
    /// The role in the organization.
    pub role: Role,
    /// The project, and the role in it, where the path names one.
    pub project: Option<(Id<Project>, Role)>,
    /// Areas of scopes (the part before the colon) that are switched off for the organization.
    pub closed: Vec<&'static str>,
}

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = ApiResult<T>> + Send + 'a>>;

/// What the identity area does for every request.
pub trait Access: Send + Sync {
    /// Reads a bearer token without asking the database.
    ///
    /// # Errors
    /// It can't be one of ours.
    fn read_bearer(&self, token: &str) -> Result<Bearer, AuthFault>;

    /// Looks for the signing key that a token names, where this process does not know it: another node may have made it.
    /// Tells whether reading the token again is worth while.
    fn learn_key<'a>(&'a self, token: &'a str) -> Later<'a, bool>;

    /// Finds the caller, if the credential still holds.
    fn caller<'a>(&'a self, bearer: &'a Bearer, address: IpAddr) -> Later<'a, Caller>;

    /// Finds the caller and what they reach, in one query. `None` where there is no such organization or project,
    /// or it is out of reach: both look the same.
    ///
    /// `organization` and `project` are as the path has them: a UUID or a decimal legacy id.
    fn reach<'a>(
        &'a self,
        bearer: &'a Bearer,
        address: IpAddr,
        organization: &'a str,
        project: Option<&'a str>,
    ) -> Later<'a, (Caller, Option<Reach>)>;

    /// What a credential that was shown earlier reaches now, by its id: for what goes on after a request, such as a
    /// console. `None` if it does not hold any more, or does not reach the project. It is no use of the credential.
    fn standing<'a>(
        &'a self,
        credential: Id<Credential>,
        organization: Id<Organization>,
        project: Id<Project>,
    ) -> Later<'a, Option<(Caller, Reach)>>;
}

/// Whoever holds the credential, if it still has the permission `P` in the project: asked again and again by what goes on
/// after its request.
///
/// # Errors
/// The database can't be asked.
pub async fn still_allowed<P: Permission>(
    app: &App,
    credential: Id<Credential>,
    organization: Id<Organization>,
    project: Id<Project>,
) -> ApiResult<Option<Caller>> {
    let standing = app.access().standing(credential, organization, project).await?;
    Ok(standing.and_then(|(caller, reach)| {
        let (_, role) = reach.project?;
        allow::<P>(&caller, role, &reach.closed).ok().map(|()| caller)
    }))
}

/// What the gate has learnt of the credential; put into the request's extensions.
#[derive(Clone, Debug)]
pub struct Credentials(pub Result<Bearer, AuthFault>);

fn credentials(parts: &Parts) -> Result<Bearer, AuthFault> {
    parts
        .extensions
        .get::<Credentials>()
        .map_or(Err(MISSING), |Credentials(bearer)| bearer.clone())
}

/// A caller, whoever it is: for operations on the caller's own account.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// Who calls.
    pub caller: Caller,
    /// From where.
    pub request: RequestFacts,
}

impl<S: Send + Sync> FromRequestParts<S> for Authenticated
where
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let bearer = credentials(parts)?;
        let request = RequestFacts::of(parts);
        let caller = App::from_ref(state)
            .access()
            .caller(&bearer, request.address)
            .await?;
        Ok(Self { caller, request })
    }
}

/// A caller, or nobody: for operations that anybody may call and that do more for who is logged in.
///
/// A credential that is shown must hold: 401 otherwise.
#[derive(Clone, Debug)]
pub struct MaybeAuthenticated(pub Option<Caller>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeAuthenticated
where
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if !parts.headers.contains_key(http::header::AUTHORIZATION) {
            return Ok(Self(None));
        }
        let Authenticated { caller, .. } = Authenticated::from_request_parts(parts, state).await?;
        Ok(Self(Some(caller)))
    }
}

/// A caller with the permission `P` in the path's organization.
#[derive(Clone, Debug)]
pub struct OrganizationScope<P> {
    /// Who calls.
    pub caller: Caller,
    /// From where.
    pub request: RequestFacts,
    /// The organization of the path.
    pub organization: Id<Organization>,
    /// The caller's role in it.
    pub role: Role,
    /// See [`Reach::closed`].
    pub closed: Vec<&'static str>,
    permission: PhantomData<fn() -> P>,
}

/// A caller with the permission `P` in the path's project.
#[derive(Clone, Debug)]
pub struct ProjectScope<P> {
    /// Who calls.
    pub caller: Caller,
    /// From where.
    pub request: RequestFacts,
    /// The organization of the path.
    pub organization: Id<Organization>,
    /// The project of the path.
    pub project: Id<Project>,
    /// The caller's role in the project.
    pub role: Role,
    /// The caller's role in the organization: what is shared by its projects is for its members.
    pub organization_role: Role,
    /// See [`Reach::closed`].
    pub closed: Vec<&'static str>,
    permission: PhantomData<fn() -> P>,
}

/// Resolves the path's organization (and project) for the caller.
async fn reach<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    in_project: bool,
) -> ApiResult<(Caller, RequestFacts, Reach)>
where
    App: FromRef<S>,
{
    let bearer = credentials(parts)?;
    let request = RequestFacts::of(parts);
    // A path that is no UTF-8 names nothing.
    let path = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| ApiError::not_found())?;
    let param = |name: &str| path.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let organization = param("organization_id").ok_or_else(ApiError::not_found)?;
    let project = if in_project {
        Some(param("project_id").ok_or_else(ApiError::not_found)?)
    } else {
        None
    };
    let app = App::from_ref(state);
    let (caller, reach) = app
        .access()
        .reach(&bearer, request.address, organization, project)
        .await?;
    Ok((caller, request, reach.ok_or_else(ApiError::not_found)?))
}

/// The one place where roles, scopes of keys and modules decide about an operation below an organization.
fn allow<P: Permission>(caller: &Caller, role: Role, closed: &[&str]) -> ApiResult<()> {
    if role < P::ROLE || !caller.has_scope(P::SCOPE) {
        return Err(ApiError::forbidden());
    }
    let area = P::SCOPE.split(':').next().unwrap_or_default();
    if closed.contains(&area) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "module_disabled",
            "This module is switched off for the organization.",
        ));
    }
    Ok(())
}

impl<S: Send + Sync, P: Permission> FromRequestParts<S> for OrganizationScope<P>
where
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (caller, request, reach) = reach(parts, state, false).await?;
        allow::<P>(&caller, reach.role, &reach.closed)?;
        Ok(Self {
            caller,
            request,
            organization: reach.organization,
            role: reach.role,
            closed: reach.closed,
            permission: PhantomData,
        })
    }
}

impl<S: Send + Sync, P: Permission> FromRequestParts<S> for ProjectScope<P>
where
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (caller, request, reach) = reach(parts, state, true).await?;
        let (project, role) = reach.project.ok_or_else(ApiError::not_found)?;
        allow::<P>(&caller, role, &reach.closed)?;
        Ok(Self {
            caller,
            request,
            organization: reach.organization,
            project,
            role,
            organization_role: reach.role,
            closed: reach.closed,
            permission: PhantomData,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(scopes: &[&str]) -> Caller {
        Caller {
            user: Id::new(),
            email: String::new(),
            name: String::new(),
            is_staff: false,
            actor_type: ActorType::ApiKey,
            credential: Id::new(),
            credential_name: String::new(),
            scopes: Some(scopes.iter().map(|scope| (*scope).to_owned()).collect()),
            organization: None,
            project: None,
            expires_at: None,
            authenticated_at: None,
        }
    }

    #[test]
    fn writing_includes_reading_but_not_the_other_way() {
        assert!(caller(&["compute:write"]).has_scope("compute:read"));
        assert!(!caller(&["compute:read"]).has_scope("compute:write"));
        assert!(!caller(&["compute:write"]).has_scope("domains:read"));
    }
}
