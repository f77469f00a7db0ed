//! Which role may be given in a project: pure.

use kernel::access::Role;

/// Whether somebody who is `organization` there may be given `wanted` in a project.
///
/// # Errors
/// The role would say nothing: it never exceeds that in the organization.
pub(super) fn give(organization: Role, wanted: Role) -> Result<(), &'static str> {
    match organization {
        Role::Owner => Err("An owner of the organization owns every project."),
        Role::Guest => Ok(()),
        Role::Editor | Role::Viewer if wanted > organization => {
            Err("A role in a project can't exceed the member's role in the organization.")
        }
        Role::Editor | Role::Viewer => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_role_exceeds_that_in_the_organization() {
        use Role::{Editor, Guest, Owner, Viewer};
        for wanted in [Viewer, Editor, Owner] {
            assert!(give(Owner, wanted).is_err());
            assert!(give(Guest, wanted).is_ok());
            assert_eq!(give(Editor, wanted).is_ok(), wanted <= Editor);
            assert_eq!(give(Viewer, wanted).is_ok(), wanted == Viewer);
        }
    }
}
