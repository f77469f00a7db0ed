//! Lists and reads tasks.

use std::collections::HashMap;

use axum::{Json, extract::State};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, SelectableHelper};
use identity::schema::users;
use kernel::{
    access::{Permission, Project, ProjectScope, User},
    http::{ApiError, ApiResult, Page, PageOf, PathId, Query, Versioned},
    id::{Any, Id},
    schema::tasks,
    store::{Conn, StoreError, sql::MultiBackend},
    tasks::{Task, TaskRow, TaskStatus},
};
use serde_json::json;

use super::api::{InstanceTask, InstanceTaskInstance, InstanceTaskUser, TaskType};
use crate::{
    Compute,
    instances::{InstancesRead, api::InstanceKind},
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
    let status = query.choice("status", TaskStatus::from_word);
    let task_type = query.choice("task_type", TaskType::from_word);
    let instance = query.id::<Any>("instance_id");
    let oldest_first = query
        .ordering(&[("created", ())])
        .is_some_and(|((), descending)| !descending);
    query.check()?;
    let filtered = move || {
        let mut tasks = of_project(scope.project);
        if let Some(status) = status {
            tasks = tasks.filter(tasks::status.eq(status));
        }
        if let Some(task_type) = task_type {
            tasks = tasks.filter(tasks::kind.eq(task_type.as_str()));
        }
        if let Some(instance) = instance {
            tasks = tasks.filter(tasks::resource_id.eq(instance));
        }
        tasks
    };
    compute
        .app
        .store()
        .read("list_instance_tasks", move |conn| {
            let count = filtered().count().get_result(conn)?;
            let (skip, take) = page.window(count)?;
            let ordered = if oldest_first {
                filtered().order((tasks::created.asc(), tasks::id.asc()))
            } else {
                filtered().order((tasks::created.desc(), tasks::id.desc()))
            };
            let rows: Vec<TaskRow> = ordered
                .select(TaskRow::as_select())
                .offset(skip)
                .limit(take)
                .load(conn)?;
            page.of(count, shown(conn, rows)?).map(Json)
        })
        .await
}

/// Get instance task
///
/// Read one task: what it does, its state, its parameters and its result.
#[utoipa::path(
    get, path = "/v1/organizations/{organization_id}/projects/{project_id}/compute/tasks/{id}",
    tag = "Compute", operation_id = "get_instance_task",
    params(
        ("id" = uuid::Uuid, Path, description = "UUID of the task."),
        ("organization_id" = uuid::Uuid, Path, description = "Organization that owns the resource."),
        ("project_id" = uuid::Uuid, Path, description = "Project that contains the resource."),
    ),
    responses(
        (status = 200, description = "Task", body = InstanceTask),
        (status = 401, description = "No credentials, or invalid ones"),
        (status = 403, description = "Insufficient permissions"),
        (status = 404, description = "Not found"),
    ),
    security(("BearerAuth" = [])),
    extensions(("x-permission" = json!(InstancesRead::NAME)), ("x-minimum-role" = json!(InstancesRead::ROLE.as_str())),
        ("x-scope" = json!(InstancesRead::SCOPE))),
)]
pub(crate) async fn get_instance_task(
    scope: ProjectScope<InstancesRead>,
    PathId(id): PathId<Task>,
    State(compute): State<Compute>,
) -> ApiResult<Versioned<InstanceTask>> {
    compute
        .app
        .store()
        .read("get_instance_task", move |conn| {
            let query = of_project(scope.project)
                .filter(tasks::id.eq(id))
                .select(TaskRow::as_select());
            let rows: Vec<TaskRow> = query.load(conn)?;
            let version = rows.first().map_or(0, |row| row.modified.micros());
            let task = shown(conn, rows)?.pop().ok_or_else(ApiError::not_found)?;
            Ok(Versioned { body: task, version })
        })
        .await
}

/// One task of a project's instances, as the API shows it.
pub(crate) fn find(conn: &mut Conn, project: Id<Project>, id: Id<Task>) -> Result<Option<InstanceTask>, StoreError> {
    let rows: Vec<TaskRow> = of_project(project)
        .filter(tasks::id.eq(id))
        .select(TaskRow::as_select())
        .load(conn)?;
    Ok(shown(conn, rows)?.pop())
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
    let query = of_project(project)
        .filter(tasks::id.eq(id))
        .select(TaskRow::as_select());
    let rows: Vec<TaskRow> = query.load(conn)?;
    shown(conn, rows)?.pop().ok_or_else(ApiError::not_found)
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
