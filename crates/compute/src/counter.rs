//! How much of this area a project holds.

use std::collections::HashMap;

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, dsl::count_star};
use identity::{Place, ResourceCounter, ResourceCounts};
use kernel::{
    access::ProjectId,
    store::{Conn, StoreError},
};

use crate::{
    instances::api::InstanceStatus,
    schema::{instances, vpcs},
};

/// Counts instances and VPCs for the answers about projects: two queries, however many projects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

impl ResourceCounter for Counter {
    fn count(
        &self,
        conn: &mut Conn,
        projects: &[ProjectId],
    ) -> Result<HashMap<ProjectId, ResourceCounts>, StoreError> {
        let mut counts: HashMap<ProjectId, ResourceCounts> = HashMap::new();
        let live: Vec<(ProjectId, i64)> = instances::table
            .filter(instances::project_id.eq_any(projects.to_vec()))
            .filter(instances::status.ne(InstanceStatus::Terminated))
            .group_by(instances::project_id)
            .select((instances::project_id, count_star()))
            .load(conn)?;
        for (project, count) in live {
            counts.entry(project).or_default().instances = count;
        }
        let networks: Vec<(Option<ProjectId>, i64)> = vpcs::table
            .filter(vpcs::project_id.eq_any(projects.to_vec()))
            .group_by(vpcs::project_id)
            .select((vpcs::project_id, count_star()))
            .load(conn)?;
        for (project, count) in networks {
            if let Some(project) = project {
                counts.entry(project).or_default().vpcs = count;
            }
        }
        Ok(counts)
    }

    fn live(&self, conn: &mut Conn, place: Place) -> Result<ResourceCounts, StoreError> {
        let mut machines = instances::table
            .filter(instances::status.ne_all(InstanceStatus::OVER))
            .count()
            .into_boxed();
        // Default VPCs come by themselves.
        let mut networks = vpcs::table
            .filter(vpcs::is_default.eq(false))
            .count()
            .into_boxed();
        match place {
            Place::Organization(id) => {
                machines = machines.filter(instances::organization_id.eq(id));
                networks = networks.filter(vpcs::organization_id.eq(id));
            }
            Place::Project(id) => {
                machines = machines.filter(instances::project_id.eq(id));
                networks = networks.filter(vpcs::project_id.eq(id));
            }
        }
        Ok(ResourceCounts {
            instances: machines.get_result(conn)?,
            vpcs: networks.get_result(conn)?,
            ..ResourceCounts::default()
        })
    }
}
