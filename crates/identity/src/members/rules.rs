//! Who may have which role: pure.

use kernel::{access::Role, http::ApiError};

/// What must be known of a member before their role changes or ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// The member's role.
    pub(super) role: Role,
    /// Owners who can act, without this member.
    pub(super) other_owners: i64,
    /// Projects in which the member was given a role.
    pub(super) projects: usize,
}

/// Whether the role may become `wanted`.
///
/// # Errors
/// The organization would be without an owner, or a guest would see nothing.
pub(super) fn change(now: Situation, wanted: Role) -> Result<(), &'static str> {
    if now.role == wanted {
        return Ok(());
    }
    if now.role == Role::Owner && now.other_owners == 0 {
        return Err("An organization needs an owner: make another member owner first.");
    }
    if wanted == Role::Guest && now.projects == 0 {
        return Err("Give the member a role in a project first: a guest sees nothing else.");
    }
    Ok(())
}

/// Whether the membership may end.
///
/// # Errors
/// The organization would be without an owner.
pub(super) fn end(now: Situation) -> Result<(), ApiError> {
    if now.role == Role::Owner && now.other_owners == 0 {
        return Err(ApiError::refused(
            "The last owner can't leave: make another member owner, or delete the organization.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Situation = Situation {
        role: Role::Owner,
        other_owners: 0,
        projects: 0,
    };

    #[test]
    fn the_last_owner_stays_owner() {
        assert!(change(OWNER, Role::Owner).is_ok());
        assert!(change(OWNER, Role::Editor).is_err());
        assert!(end(OWNER).is_err());
        let one_of_two = Situation {
            other_owners: 1,
            ..OWNER
        };
        assert!(change(one_of_two, Role::Editor).is_ok());
        assert!(end(one_of_two).is_ok());
    }

    #[test]
    fn guests_have_a_project() {
        let viewer = Situation {
            role: Role::Viewer,
            other_owners: 1,
            projects: 0,
        };
        assert!(change(viewer, Role::Guest).is_err());
        assert!(
            change(
                Situation {
                    projects: 1,
                    ..viewer
                },
                Role::Guest
            )
            .is_ok()
        );
        assert!(end(viewer).is_ok());
    }
}
