//! From rows to what is shown, in a fixed number of queries however many members there are.

use std::collections::HashMap;

use kernel::{
    access::{Organization, User},
    id::Id,
    store::{Conn, StoreError},
};

use super::{
    api::{MemberProject, OrganizationMember},
    rows::{self, Found, GivenRow},
};
use crate::people::{self, PersonRow};

/// Members of an organization, in the order given.
pub(super) fn all(
    conn: &mut Conn,
    organization: Id<Organization>,
    found: Vec<Found>,
) -> Result<Vec<OrganizationMember>, StoreError> {
    let mut given: HashMap<Id<User>, Vec<GivenRow>> = HashMap::new();
    for row in rows::given(conn, organization, None)? {
        given.entry(row.user).or_default().push(row);
    }
    let inviters = people::of_ids(conn, found.iter().filter_map(|(row, _)| row.invited_by))?;
    let protected = people::with_second_factor(conn, found.iter().map(|(row, _)| row.user_id))?;
    let views = found.into_iter().map(|(row, person)| {
        let given = given.remove(&row.user_id).unwrap_or_default();
        let has_mfa = protected.contains(&row.user_id);
        member((row, person), given, has_mfa, &inviters)
    });
    Ok(views.collect())
}

/// One member.
pub(crate) fn one(
    conn: &mut Conn,
    organization: Id<Organization>,
    found: Found,
) -> Result<OrganizationMember, StoreError> {
    let given = rows::given(conn, organization, Some(found.0.user_id))?;
    let inviters = people::of_ids(conn, found.0.invited_by)?;
    let protected = people::with_second_factor(conn, [found.0.user_id])?;
    Ok(member(found, given, !protected.is_empty(), &inviters))
}

fn member(
    (row, person): Found,
    given: Vec<GivenRow>,
    has_mfa: bool,
    inviters: &HashMap<Id<User>, PersonRow>,
) -> OrganizationMember {
    let projects = given.into_iter().map(|row| {
        let GivenRow {
            user: _,
            project,
            name,
            role,
        } = row;
        MemberProject {
            project_id: project,
            project_name: name,
            role: role.into(),
        }
    });
    let inviter = row.invited_by.and_then(|id| inviters.get(&id).cloned());
    OrganizationMember {
        id: row.id(),
        organization_id: row.organization_id,
        role: row.role,
        projects: projects.collect(),
        has_mfa,
        invited_by: inviter.map(Into::into),
        created: row.created,
        modified: row.modified(),
        user: person.into(),
    }
}
