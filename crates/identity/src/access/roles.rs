//! What a membership is worth: pure rules.

use kernel::{
    access::{Organization, Project, Reach, Role},
    id::Id,
};

use super::rows::Standing;
use crate::modules::Module;

/// The role in a project of a member of its organization, given the project membership, if there is one.
///
/// Owners of the organization own every project. A project membership narrows an editor or viewer and never
/// raises them. A guest has nothing but project memberships.
pub(crate) fn in_project(organization: Role, project: Option<Role>) -> Option<Role> {
    match organization {
        Role::Owner => Some(Role::Owner),
        Role::Editor | Role::Viewer => {
            Some(project.map_or(organization, |project| project.min(organization)))
        }
        Role::Guest => project,
    }
}

/// What a credential reaches in `organization`, and in the project that the path names; `None` where it has
/// no business.
///
/// A project token is a guest in the organization: it reaches its project and what every guest sees.
pub(super) fn reach(
    standing: &Standing,
    organization: Id<Organization>,
    names_project: bool,
    only_organization: Option<Id<Organization>>,
    only_project: Option<Id<Project>>,
) -> Option<Reach> {
    let role = standing.role?;
    let other_organization = only_organization.is_some_and(|only| only != organization);
    if standing.is_active != Some(true) || other_organization {
        return None;
    }
    let project = if names_project {
        let id = standing.project?;
        if only_project.is_some_and(|only| only != id) {
            return None;
        }
        Some((id, in_project(role, standing.project_role)?))
    } else {
        None
    };
    Some(Reach {
        organization,
        role: if only_project.is_some() { Role::Guest } else { role },
        project,
        closed: standing.modules.as_ref().map(Module::closed).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_memberships_narrow_and_never_raise() {
        use Role::{Editor, Guest, Owner, Viewer};
        let table = [
            (Owner, [Some(Owner), Some(Owner), Some(Owner), Some(Owner)]),
            (Editor, [Some(Editor), Some(Viewer), Some(Editor), Some(Editor)]),
            (Viewer, [Some(Viewer), Some(Viewer), Some(Viewer), Some(Viewer)]),
            (Guest, [None, Some(Viewer), Some(Editor), Some(Owner)]),
        ];
        for (organization, expected) in table {
            let memberships = [None, Some(Viewer), Some(Editor), Some(Owner)];
            assert_eq!(
                memberships.map(|project| in_project(organization, project)),
                expected
            );
        }
    }

    fn standing(role: Role, project: Id<Project>) -> Standing {
        Standing {
            is_active: Some(true),
            modules: None,
            role: Some(role),
            project: Some(project),
            project_role: None,
        }
    }

    #[test]
    fn only_members_of_active_organizations_reach_them() {
        let (organization, project) = (Id::new(), Id::new());
        let member = standing(Role::Viewer, project);
        let found = reach(&member, organization, true, None, None).unwrap();
        assert_eq!(
            (found.role, found.project),
            (Role::Viewer, Some((project, Role::Viewer)))
        );
        for stranger in [
            Standing {
                role: None,
                ..member.clone()
            },
            Standing {
                is_active: Some(false),
                ..member.clone()
            },
            Standing {
                is_active: None,
                ..member.clone()
            },
            Standing {
                project: None,
                ..member
            },
        ] {
            assert!(reach(&stranger, organization, true, None, None).is_none());
        }
        let guest = standing(Role::Guest, project);
        assert!(reach(&guest, organization, true, None, None).is_none());
        assert!(reach(&guest, organization, false, None, None).is_some());
    }

    #[test]
    fn limited_credentials_stay_in_their_limits() {
        let (organization, project) = (Id::new(), Id::new());
        let owner = standing(Role::Owner, project);
        let limited = |only_organization, only_project| {
            reach(&owner, organization, true, Some(only_organization), only_project)
        };
        assert!(limited(organization, None).is_some());
        assert!(limited(Id::new(), None).is_none());
        assert!(limited(organization, Some(Id::new())).is_none());
        let token = limited(organization, Some(project)).unwrap();
        assert_eq!(
            (token.role, token.project),
            (Role::Guest, Some((project, Role::Owner)))
        );
    }
}
