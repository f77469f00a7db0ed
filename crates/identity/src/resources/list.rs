//! `list_project_resources`.

use std::collections::HashMap;

use axum::{Json, extract::State};
use kernel::{
    access::{Permission, ProjectScope},
    http::{ApiResult, Page, PageOf, Query, contains_pattern},
    id::{Any, Id},
    time::Time,
};

use super::{Filter, ProjectResource, ResourceType, ResourcesRead};
use crate::state::Area;

/// Named, as the macro of operations wants it.
type ProjectResourcePage = PageOf<ProjectResource>;

/// [Project Resources] List project resources
///
/// All resources of the project in one list, newest first. Terminated ones are left out.
#[utoipa::path(
    get,
    path = "/v1/organizations/{organization_id}/projects/{project_id}/resources",
    operation_id = "list_project_resources",
    tag = "Projects",
    security(("BearerAuth" = [])),
    params(
        ("organization_id" = String, Path),
        ("project_id" = String, Path),
        ("resource_type" = inline(Option<ResourceType>), Query, nullable = false, description = "Of this kind"),
        ("search" = inline(Option<String>), Query, nullable = false, description = "Part of the name"),
        ("status" = inline(Option<String>), Query, nullable = false,
            description = "Of this status, in the words of the kind"),
        ("tag" = inline(Option<String>), Query, nullable = false,
            description = "With this tag: `key` or `key:value`"),
        ("page" = inline(Option<isize>), Query, nullable = false, minimum = 1,
            description = "Page, from 1; `last` for the last"),
        ("page_size" = inline(Option<isize>), Query, nullable = false, minimum = 1, maximum = 100,
            description = "Resources a page, 20 by default"),
    ),
    responses(
        (status = 200, body = ProjectResourcePage, description = "Page of resources"),
        (status = 400, description = "Invalid request parameters"),
        kernel::http::Refusals,
    ),
    extensions(
        ("x-permission" = json!(ResourcesRead::NAME)),
        ("x-minimum-role" = json!(ResourcesRead::ROLE.as_str())),
        ("x-scope" = json!(ResourcesRead::SCOPE)),
    )
)]
pub(super) async fn list_project_resources(
    scope: ProjectScope<ResourcesRead>,
    page: Page,
    State(Area { app, resources, .. }): State<Area>,
    mut query: Query,
) -> ApiResult<Json<ProjectResourcePage>> {
    let wanted = query.choice("resource_type", ResourceType::from_word);
    let filter = Filter {
        project: scope.project,
        search: query.text("search").map(|text| contains_pattern(&text)),
        status: query.text("status"),
        tag: query.text("tag").map(|tag| match tag.split_once(':') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (tag, None),
        }),
    };
    query.check()?;
    app.store()
        .read("list_project_resources", move |conn| {
            let sources = resources.iter().flat_map(|area| {
                let kinds = area.kinds().iter().copied();
                kinds.map(move |kind| (area, kind))
            });
            let sources: Vec<_> = sources
                .filter(|(_, kind)| wanted.is_none_or(|wanted| wanted == *kind))
                .collect();
            let mut count = 0;
            for (area, kind) in &sources {
                count += area.count(conn, *kind, &filter)?;
            }
            let (skip, take) = page.window(count)?;
            // The newest of all kinds are among the newest of each: as many of each as the page reaches down to.
            let mut newest: Vec<(Time, Id<Any>, usize)> = Vec::new();
            for (source, (area, kind)) in sources.iter().enumerate() {
                let found = area.newest(conn, *kind, &filter, skip + take)?;
                newest.extend(found.into_iter().map(|(created, id)| (created, id, source)));
            }
            newest.sort_unstable_by(|left, right| right.cmp(left));
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            let take = usize::try_from(take).unwrap_or(0);
            let chosen: Vec<_> = newest.into_iter().skip(skip).take(take).collect();
            let mut shown: HashMap<Id<Any>, ProjectResource> = HashMap::new();
            for (source, (area, kind)) in sources.iter().enumerate() {
                let ids: Vec<Id<Any>> = chosen
                    .iter()
                    .filter(|(.., of)| *of == source)
                    .map(|(_, id, _)| *id)
                    .collect();
                if !ids.is_empty() {
                    let found = area.show(conn, *kind, scope.project, &ids)?;
                    shown.extend(found.into_iter().map(|resource| (resource.id, resource)));
                }
            }
            let results = chosen.iter().filter_map(|(_, id, _)| shown.remove(id)).collect();
            page.of(count, results).map(Json)
        })
        .await
}
