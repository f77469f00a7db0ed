//! What goes over the wire.

use kernel::access::{Declared, Role as Word};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Permissions, title};

kernel::words! {
    /// Where a role or permission counts
    pub(crate) enum RoleScope {
        /// Organization
        Organization = "organization",
        /// Project
        Project = "project",
    }
}

/// A role, with what it grants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Role {
    #[schema(read_only)]
    slug: Word,
    #[schema(read_only)]
    name: &'static str,
    #[schema(read_only)]
    description: &'static str,
    #[schema(read_only)]
    scope: RoleScope,
    /// Permission codes the role grants
    #[schema(read_only)]
    permissions: Vec<&'static str>,
    /// Whether the caller may give this role
    #[schema(read_only)]
    is_assignable: bool,
}

impl Role {
    /// A role as it counts in a scope.
    pub(crate) fn of(word: Word, scope: RoleScope, permissions: &Permissions, is_assignable: bool) -> Self {
        let in_project = scope == RoleScope::Project;
        let (name, description) = match (word, scope) {
            (Word::Owner, RoleScope::Organization) => (
                "Owner",
                "Everything, including billing, settings, members and deletion.",
            ),
            (Word::Editor, RoleScope::Organization) => (
                "Editor",
                "Manages projects and resources; no billing, settings or members.",
            ),
            (Word::Viewer, RoleScope::Organization) => ("Viewer", "Reads everything, changes nothing."),
            (Word::Guest, _) => (
                "Guest",
                "Only the projects they were given; does not see the whole organization.",
            ),
            (Word::Owner, RoleScope::Project) => {
                ("Owner", "Everything in the project, including its members.")
            }
            (Word::Editor, RoleScope::Project) => ("Editor", "Manages the project and its resources."),
            (Word::Viewer, RoleScope::Project) => ("Viewer", "Reads the project, changes nothing."),
        };
        Self {
            slug: word,
            name,
            description,
            scope,
            permissions: permissions.held(word, in_project, |_| true),
            is_assignable,
        }
    }
}

/// Whether somebody with the role `own` in a project may give roles there.
pub(crate) fn assignable_in_project(own: Word) -> bool {
    own == Word::Owner
}

/// A permission.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Permission {
    /// Ex: compute.instances.update
    #[schema(read_only)]
    code: &'static str,
    #[schema(read_only)]
    name: String,
    #[schema(read_only)]
    description: &'static str,
    #[schema(read_only)]
    scope: RoleScope,
}

impl From<&Declared> for Permission {
    fn from(declared: &Declared) -> Self {
        Self {
            code: declared.name,
            name: title(declared.name),
            description: declared.description,
            scope: if Permissions::is_of_project(declared) {
                RoleScope::Project
            } else {
                RoleScope::Organization
            },
        }
    }
}
