//! What lies in a project, whatever its kind and whichever area owns it: listed together, and moved between projects.
//!
//! This area knows no resource. Each area that owns some implements [`ProjectResources`].

mod api;
mod list;
mod transfer;

use kernel::{
    access::{Caller, Organization, Project},
    audit::Origin,
    http::ApiResult,
    id::{Any, Id},
    store::{Conn, StoreError, Tx},
    time::Time,
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::api::{ProjectResource, ResourceType};
use crate::state::Area;

kernel::permissions! {
    /// See what lies in a project.
    ResourcesRead = "projects.resources.read", Viewer, "projects:read";
    /// Move resources to another project.
    ResourcesTransfer = "projects.resources.transfer", Editor, "projects:write";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_project_resources))
        .routes(routes!(transfer::transfer_project_resources))
}

/// Which resources are wanted.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Of this project.
    pub project: Id<Project>,
    /// With a name like this: a pattern for `LIKE … ESCAPE '\'`, in lower case.
    pub search: Option<String>,
    /// Of this status, in the words of the kind.
    pub status: Option<String>,
    /// With this tag: a key, and the value that it must have if one was given.
    pub tag: Option<(String, Option<String>)>,
}

/// A move of resources between two projects of an organization.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Whose both projects are.
    pub organization: Id<Organization>,
    /// Where they are.
    pub from: Id<Project>,
    /// Where they go.
    pub to: Id<Project>,
    /// Who moves them.
    pub caller: Caller,
    /// The same, for audit records.
    pub origin: Origin,
}

/// The resources of an area. Every call costs a fixed number of queries.
///
/// Resources that are gone for good (terminated, deleted) are left out everywhere.
pub trait ProjectResources: Send + Sync {
    /// The kinds that the area owns.
    fn kinds(&self) -> &'static [ResourceType];

    /// How many of a kind pass.
    ///
    /// # Errors
    /// The database refused.
    fn count(&self, conn: &mut Conn, kind: ResourceType, filter: &Filter) -> Result<i64, StoreError>;

    /// When the newest of a kind that pass were made, and their ids: at most `most`, by time and id descending.
    ///
    /// # Errors
    /// The database refused.
    fn newest(
        &self,
        conn: &mut Conn,
        kind: ResourceType,
        filter: &Filter,
        most: i64,
    ) -> Result<Vec<(Time, Id<Any>)>, StoreError>;

    /// Those of these ids that are in the project, in any order.
    ///
    /// # Errors
    /// The database refused.
    fn show(
        &self,
        conn: &mut Conn,
        kind: ResourceType,
        project: Id<Project>,
        ids: &[Id<Any>],
    ) -> Result<Vec<ProjectResource>, StoreError>;

    /// Moves resources, with what belongs to them, and writes audit records in both projects. Gives everything that
    /// has moved.
    ///
    /// # Errors
    /// A resource can't be moved now, or is gone: nothing is moved then.
    fn transfer(
        &self,
        tx: &mut Tx<'_>,
        kind: ResourceType,
        transfer: &Transfer,
        ids: &[Id<Any>],
    ) -> ApiResult<Vec<ProjectResource>>;
}
