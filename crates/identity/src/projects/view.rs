//! From rows to what is shown, in a fixed number of queries however many projects there are.

use kernel::{
    access::{Project as ProjectId, Role},
    id::Id,
    store::{Conn, StoreError},
};

use super::{
    api::{Project, ResourceCounts},
    rows::{self, ProjectRow},
};
use crate::{people::PersonRow, state::ResourceCounter};

/// A project with its maker and the caller's role in it.
pub(crate) type Visible = (ProjectRow, Option<PersonRow>, Role);

/// Projects of one organization with what is counted in them, in the order given.
pub(super) fn projects(
    conn: &mut Conn,
    counter: &dyn ResourceCounter,
    visible: Vec<Visible>,
) -> Result<Vec<Project>, StoreError> {
    let Some((first, ..)) = visible.first() else {
        return Ok(Vec::new());
    };
    let organization = first.organization_id;
    let ids: Vec<Id<ProjectId>> = visible.iter().map(|(row, _, _)| row.id).collect();
    let members = rows::member_counts(conn, organization, &ids)?;
    let resources = counter.count(conn, &ids)?;
    let views = visible.into_iter().map(|(row, creator, role)| {
        let members = members.get(&row.id).copied().unwrap_or(0);
        let resources = resources.get(&row.id).copied().unwrap_or_default();
        project(row, creator, role, members, resources)
    });
    Ok(views.collect())
}

fn project(
    row: ProjectRow,
    creator: Option<PersonRow>,
    role: Role,
    member_count: i64,
    resource_counts: ResourceCounts,
) -> Project {
    let ProjectRow {
        id,
        legacy_id: _,
        organization_id,
        name,
        description,
        environment,
        color,
        tags,
        is_default,
        is_active,
        created_by: _,
        created,
        modified,
    } = row;
    Project {
        id,
        organization_id,
        name,
        description,
        environment,
        color,
        tags,
        is_default,
        is_active,
        role: role.into(),
        member_count,
        resource_counts,
        created_by: creator.map(Into::into),
        created,
        modified,
    }
}
