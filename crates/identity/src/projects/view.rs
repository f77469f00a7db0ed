//! From rows to what is shown, in a fixed number of queries however many projects there are.

use kernel::{
    access::{Project as ProjectId, Role},
    id::Id,
    store::{Conn, StoreError},
};

use super::{
    api::{Project, ResourceCounts, UserSummary},
    rows::{self, CreatorRow, ProjectRow},
};
use crate::state::ResourceCounter;

/// A project with its maker and the caller's role in it.
pub(super) type Visible = (ProjectRow, Option<CreatorRow>, Role);

/// Projects with what is counted in them, in the order given.
pub(super) fn projects(
    conn: &mut Conn,
    counter: &dyn ResourceCounter,
    visible: Vec<Visible>,
) -> Result<Vec<Project>, StoreError> {
    if visible.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Id<ProjectId>> = visible.iter().map(|(row, _, _)| row.id).collect();
    let members = rows::member_counts(conn, &ids)?;
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
    creator: Option<CreatorRow>,
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
        created_by: creator.map(summary),
        created,
        modified,
    }
}

fn summary(row: CreatorRow) -> UserSummary {
    let CreatorRow {
        id,
        email,
        first_name,
        last_name,
        is_active,
        last_login,
    } = row;
    UserSummary {
        id,
        email,
        first_name,
        last_name,
        is_active,
        last_login,
    }
}
