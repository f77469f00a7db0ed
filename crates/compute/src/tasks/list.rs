//! Lists tasks, and finds them for others.

use std::collections::HashMap;

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl, SelectableHelper};
use identity::schema::users;
use kernel::{
    access::{Permission, Project, ProjectScope, User},
    http::{ApiError, ApiResult, Page, PageOf, Query},
    id::{Any, Id},
    schema::tasks,
    store::{Conn, StoreError, sql::MultiBackend},
    tasks::{Task, TaskRow, TaskStatus},
};
use serde_json::json;

use super::{
    api::{InstanceTask, InstanceTaskInstance, InstanceTaskUser, TaskType},
    path::InstancePath,
};
use crate::{
    Compute,
    instances::{InstancesRead, api::InstanceKind, rows},
    schema::instances,
};

type TaskPage = PageOf<InstanceTask>;

/// The tasks of a project's instances.
fn of_project(project: Id<Project>) -> tasks::BoxedQuery<'static, MultiBackend> {
    tasks::table
        .filter(tasks::project_id.eq(project))
        .filter(tasks::resource_type.eq("instance"))
        .into_boxed()
}

/// [Tasks] List instance tasks
///
/// Tasks of every instance of the project.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/tasks",
    tag = "Compute", operation_id = "list_instance_tasks",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("status" = Option<TaskStatus>, Query, description = "Only tasks in this state."),
        ("task_type" = Option<String>, Query, description = "Only tasks of this type."),
        ("ordering" = Option<String>, Query, description = "`created` or `-created` (the default)."),
        ("instance_id" = Option<uuid::Uuid>, Query, description = "Only tasks of this instance."),
        ("organization_id" = uuid::Uuid, Path, description = "Organization that owns the resource."),
        ("project_id" = uuid::Uuid, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Tasks", body = TaskPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn list_instance_tasks(
    scope: ProjectScope<InstancesRead>,
    State(compute): State<Compute>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<InstanceTask>>> {
    let instance = query.id::<InstanceKind>("instance_id");
    let filter = Filter::read(&mut query, scope.project, instance);
    query.check()?;
    compute
        .app
        .store()
        .read("list_instance_tasks", move |conn| {
            filter.page(conn, &page).map(Json)
        })
        .await
}

/// [Tasks] List instance tasks (nested)
///
/// Tasks of one instance.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/instances/{instance_id}/tasks",
    tag = "Compute", operation_id = "list_instance_tasks_nested",
    params(
        ("page" = Option<i64>, Query, description = "Page number, starting at 1.", minimum = 1),
        ("page_size" = Option<i64>, Query, description = "Items on a page.", minimum = 1, maximum = 100),
        ("status" = Option<TaskStatus>, Query, description = "Only tasks in this state."),
        ("task_type" = Option<String>, Query, description = "Only tasks of this type."),
        ("ordering" = Option<String>, Query, description = "`created` or `-created` (the default)."),
        ("instance_id" = uuid::Uuid, Path, description = "UUID of the instance."),
        ("organization_id" = uuid::Uuid, Path, description = "Organization that owns the resource."),
        ("project_id" = uuid::Uuid, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Tasks", body = TaskPage),
        (status = 400, description = "A filter that can't be read"),
        kernel::http::Refusals,
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn list_instance_tasks_nested(
    scope: ProjectScope<InstancesRead>,
    InstancePath(instance): InstancePath,
    State(compute): State<Compute>,
    mut query: Query,
    page: Page,
) -> ApiResult<Json<PageOf<InstanceTask>>> {
    let filter = Filter::read(&mut query, scope.project, Some(instance));
    query.check()?;
    compute
        .app
        .store()
        .read("list_instance_tasks_nested", move |conn| {
            rows::find(conn, scope.project, instance)?.ok_or_else(ApiError::not_found)?;
            filter.page(conn, &page).map(Json)
        })
        .await
}

/// Which tasks are listed, and in which order.
#[derive(Clone, Copy, Debug)]
struct Filter {
    project: Id<Project>,
    instance: Option<Id<InstanceKind>>,
    status: Option<TaskStatus>,
    task_type: Option<TaskType>,
    oldest_first: bool,
}

impl Filter {
    fn read(query: &mut Query, project: Id<Project>, instance: Option<Id<InstanceKind>>) -> Self {
        Self {
            project,
            instance,
            status: query.choice("status", TaskStatus::from_word),
            task_type: query.choice("task_type", TaskType::from_word),
            oldest_first: query
                .ordering(&[("created", ())])
                .is_some_and(|((), descending)| !descending),
        }
    }

    fn tasks(&self) -> tasks::BoxedQuery<'static, MultiBackend> {
        let Self {
            project,
            instance,
            status,
            task_type,
            ..
        } = *self;
        let mut tasks = of_project(project);
        if let Some(status) = status {
            tasks = tasks.filter(tasks::status.eq(status));
        }
        if let Some(task_type) = task_type {
            tasks = tasks.filter(tasks::kind.eq(task_type.as_str()));
        }
        if let Some(instance) = instance {
            tasks = tasks.filter(tasks::resource_id.eq(instance.cast::<Any>()));
        }
        tasks
    }

    fn page(&self, conn: &mut Conn, page: &Page) -> ApiResult<PageOf<InstanceTask>> {
        let count = self.tasks().count().get_result(conn)?;
        let (skip, take) = page.window(count)?;
        let ordered = if self.oldest_first {
            self.tasks().order((tasks::created.asc(), tasks::id.asc()))
        } else {
            self.tasks().order((tasks::created.desc(), tasks::id.desc()))
        };
        let rows: Vec<TaskRow> = ordered
            .select(TaskRow::as_select())
            .offset(skip)
            .limit(take)
            .load(conn)?;
        page.of(count, shown(conn, rows)?)
    }
}

/// The row of one task of a project's instances.
pub(crate) fn find_row(
    conn: &mut Conn,
    project: Id<Project>,
    id: Id<Task>,
) -> Result<Option<TaskRow>, StoreError> {
    let rows = of_project(project)
        .filter(tasks::id.eq(id))
        .select(TaskRow::as_select());
    Ok(rows.first(conn).optional()?)
}

/// A row as the API shows it.
pub(super) fn show(conn: &mut Conn, row: TaskRow) -> Result<Option<InstanceTask>, StoreError> {
    Ok(shown(conn, vec![row])?.pop())
}

/// One task of a project's instances, as the API shows it.
pub(crate) fn find(
    conn: &mut Conn,
    project: Id<Project>,
    id: Id<Task>,
) -> Result<Option<InstanceTask>, StoreError> {
    match find_row(conn, project, id)? {
        Some(row) => show(conn, row),
        None => Ok(None),
    }
}

/// The newest task of an instance, if there is one.
pub(crate) fn newest_of(
    conn: &mut Conn,
    project: Id<Project>,
    instance: Id<InstanceKind>,
) -> Result<Option<InstanceTask>, StoreError> {
    let rows: Vec<TaskRow> = of_project(project)
        .filter(tasks::resource_id.eq(instance.cast::<Any>()))
        .order((tasks::created.desc(), tasks::id.desc()))
        .limit(1)
        .select(TaskRow::as_select())
        .load(conn)?;
    Ok(shown(conn, rows)?.pop())
}

/// Whether a task of an instance waits or runs.
pub(crate) fn has_unfinished(
    conn: &mut Conn,
    project: Id<Project>,
    instance: Id<InstanceKind>,
) -> Result<bool, StoreError> {
    let waiting: i64 = of_project(project)
        .filter(tasks::resource_id.eq(instance.cast::<Any>()))
        .filter(tasks::status.eq_any([TaskStatus::Pending, TaskStatus::Running]))
        .count()
        .get_result(conn)?;
    Ok(waiting > 0)
}

/// One task of a project, as the answer of the operation that has enqueued it.
pub(crate) fn one(conn: &mut Conn, project: Id<Project>, id: Id<Task>) -> ApiResult<InstanceTask> {
    find(conn, project, id)?.ok_or_else(ApiError::not_found)
}

/// Rows with the names of their instances and users: two queries.
fn shown(conn: &mut Conn, rows: Vec<TaskRow>) -> Result<Vec<InstanceTask>, StoreError> {
    let ids: Vec<Id<InstanceKind>> = rows.iter().map(|row| row.resource_id.cast()).collect();
    let names: HashMap<Id<InstanceKind>, String> = instances::table
        .filter(instances::id.eq_any(ids))
        .select((instances::id, instances::name))
        .load::<(Id<InstanceKind>, String)>(conn)?
        .into_iter()
        .collect();
    let ids: Vec<Id<User>> = rows.iter().filter_map(|row| row.created_by).collect();
    let people: HashMap<Id<User>, (String, String, String)> = users::table
        .filter(users::id.eq_any(ids))
        .select((users::id, (users::email, users::first_name, users::last_name)))
        .load::<(Id<User>, (String, String, String))>(conn)?
        .into_iter()
        .collect();
    Ok(rows
        .into_iter()
        .filter_map(|row| task(row, &names, &people))
        .collect())
}

fn task(
    row: TaskRow,
    names: &HashMap<Id<InstanceKind>, String>,
    people: &HashMap<Id<User>, (String, String, String)>,
) -> Option<InstanceTask> {
    let instance_id: Id<InstanceKind> = row.resource_id.cast();
    let created_by = row
        .created_by
        .and_then(|id| people.get(&id).cloned().map(|person| (id, person)));
    let failure = row.error.as_ref().map(|message| json!({ "error": message }));
    Some(InstanceTask {
        id: row.id,
        instance_id,
        instance: InstanceTaskInstance {
            id: instance_id,
            name: names.get(&instance_id).cloned().unwrap_or_default(),
        },
        task_type: TaskType::from_word(&row.kind)?,
        status: row.status,
        parameters: row.parameters,
        result: row.result.and_then(|result| result.read().ok()).or(failure),
        started_at: row.started_at,
        completed_at: row.completed_at,
        retry_count: row.retry_count,
        max_retries: row.max_retries,
        progress: row.progress,
        step: row.step_name,
        created: row.created,
        modified: row.modified,
        created_by: created_by.map(|(id, (email, first_name, last_name))| InstanceTaskUser {
            id,
            email,
            first_name,
            last_name,
        }),
    })
}
