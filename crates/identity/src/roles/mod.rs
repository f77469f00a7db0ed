//! Roles and permissions as data: made from what the areas declare, never from a list beside it.

mod api;
mod list;

use kernel::access::{Declared, Role};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::api::{Role as RoleView, RoleScope, assignable_in_project};
use crate::state::Area;

kernel::permissions! {
    /// See which roles and permissions there are.
    RolesRead = "roles.read", Guest, "organizations:read";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_organization_roles))
        .routes(routes!(list::list_organization_permissions))
}

/// Areas of scopes whose resources lie in projects.
const OF_PROJECTS: [&str; 5] = ["projects", "compute", "domains", "dns", "web_hosting"];
/// What lies in such an area, but is asked for in the organization: there is no project yet.
const OF_ORGANIZATIONS: [&str; 1] = ["projects.create"];

/// Every permission of the program, by name.
#[derive(Debug)]
pub struct Permissions(Vec<Declared>);

impl Permissions {
    /// The permissions of all areas.
    pub fn new(areas: impl IntoIterator<Item = Declared>) -> Self {
        let mut all: Vec<Declared> = areas.into_iter().collect();
        all.sort_unstable_by_key(|declared| declared.name);
        all.dedup();
        Self(all)
    }

    /// All of them, by name.
    pub fn all(&self) -> &[Declared] {
        &self.0
    }

    /// Whether a permission is asked for in a project, with the role in the project.
    pub fn is_of_project(declared: &Declared) -> bool {
        let area = declared.scope.split(':').next().unwrap_or_default();
        OF_PROJECTS.contains(&area) && !OF_ORGANIZATIONS.contains(&declared.name)
    }

    /// The names of those that `role` has, in a project or everywhere, as far as `allow` lets them.
    pub(crate) fn held(
        &self,
        role: Role,
        in_project: bool,
        allow: impl Fn(&Declared) -> bool,
    ) -> Vec<&'static str> {
        let held = self.0.iter().filter(|declared| role >= declared.role);
        held.filter(|declared| !in_project || Self::is_of_project(declared))
            .filter(|declared| allow(declared))
            .map(|declared| declared.name)
            .collect()
    }

    /// The table for `docs/roles-and-permissions.md`.
    pub fn table(&self) -> String {
        let mut table =
            "| permission | asked in the | guest | viewer | editor | owner | scope of a key | why |\n|---|---|---|---|---|---|---|---|\n"
                .to_owned();
        for declared in &self.0 {
            let place = if Self::is_of_project(declared) {
                "project"
            } else {
                "organization"
            };
            let marks: Vec<&str> = Role::ALL
                .iter()
                .map(|role| if *role >= declared.role { "✓" } else { "" })
                .collect();
            table.push_str(&format!(
                "| `{}` | {place} | {} | `{}` | {} |\n",
                declared.name,
                marks.join(" | "),
                declared.scope,
                declared.description
            ));
        }
        table
    }
}

/// `compute.instances.update` for people: "Update compute instances".
fn title(name: &str) -> String {
    let mut words: Vec<&str> = name.split('.').collect();
    let verb = words.pop().unwrap_or_default();
    words.insert(0, verb);
    let title = words.join(" ").replace('_', " ");
    let mut letters = title.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_titles() {
        assert_eq!(title("compute.instances.update"), "Update compute instances");
        assert_eq!(title("members.transfer_ownership"), "Transfer ownership members");
        assert_eq!(title(""), "");
    }

    #[test]
    fn roles_hold_what_their_rank_allows() {
        let declared = |name, role, scope| Declared {
            name,
            role,
            scope,
            description: "",
        };
        let permissions = Permissions::new([
            declared("projects.create", Role::Editor, "projects:write"),
            declared("compute.instances.read", Role::Viewer, "compute:read"),
            declared("members.read", Role::Viewer, "members:read"),
            declared("members.read", Role::Viewer, "members:read"),
        ]);
        let any = |_: &Declared| true;
        assert_eq!(
            permissions.held(Role::Viewer, false, any),
            ["compute.instances.read", "members.read"]
        );
        assert_eq!(
            permissions.held(Role::Owner, true, any),
            ["compute.instances.read"]
        );
        assert!(permissions.held(Role::Guest, false, any).is_empty());
    }
}
