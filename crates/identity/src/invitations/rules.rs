//! What may be offered in an invitation: pure.

use std::collections::HashMap;

use kernel::{
    access::{Project, Role},
    http::Faults,
    id::Id,
};

/// Whether `role` and these roles in projects make sense together; `existing` are the organization's projects.
///
/// # Errors
/// Every faulty field.
pub(super) fn offer(
    role: Role,
    project_roles: &[(Id<Project>, Role)],
    existing: &HashMap<Id<Project>, String>,
) -> Result<(), Faults> {
    let mut faults = Faults::default();
    if role == Role::Guest && project_roles.is_empty() {
        faults.add("project_roles", "A guest needs a role in at least one project.");
        return Err(faults);
    }
    let mut items = Faults::default();
    for (index, (project, wanted)) in project_roles.iter().enumerate() {
        let mut item = Faults::default();
        let is_repeated = project_roles
            .iter()
            .take(index)
            .any(|(earlier, _)| earlier == project);
        if !existing.contains_key(project) {
            item.add(
                "project_id",
                format!("Invalid pk \"{project}\" - object does not exist."),
            );
        } else if is_repeated {
            item.add("project_id", "This project is named twice.");
        }
        let exceeds = match role {
            Role::Owner => Some("An owner of the organization owns every project."),
            Role::Editor | Role::Viewer if *wanted > role => {
                Some("A role in a project can't exceed the role in the organization.")
            }
            Role::Editor | Role::Viewer | Role::Guest => None,
        };
        if let Some(message) = exceeds {
            item.add("role", message);
        }
        if !item.is_empty() {
            items.nest(&index.to_string(), item);
        }
    }
    if !items.is_empty() {
        faults.nest("project_roles", items);
    }
    faults.into_result()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_make_sense() {
        let project = Id::new();
        let existing = HashMap::from([(project, "Website".to_owned())]);
        let check = |role, given: &[(Id<Project>, Role)]| offer(role, given, &existing).is_ok();
        assert!(check(Role::Editor, &[]));
        assert!(!check(Role::Guest, &[]));
        assert!(check(Role::Guest, &[(project, Role::Owner)]));
        assert!(!check(Role::Guest, &[(Id::new(), Role::Viewer)]));
        assert!(!check(
            Role::Guest,
            &[(project, Role::Viewer), (project, Role::Viewer)]
        ));
        assert!(check(Role::Editor, &[(project, Role::Viewer)]));
        assert!(!check(Role::Viewer, &[(project, Role::Editor)]));
        assert!(!check(Role::Owner, &[(project, Role::Owner)]));
    }
}
