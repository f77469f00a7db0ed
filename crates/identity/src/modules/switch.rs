//! `enable_organization_module`, `disable_organization_module`.

use axum::{
    extract::{FromRequestParts, RawPathParams, State},
    http::request::Parts,
    response::Response,
};
use kernel::{
    access::{OrganizationScope, Permission},
    audit::{AuditStatus, Changes, Event, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody},
    json::JsonText,
    store::Tx,
};
use serde_json::json;

use super::{Module, ModulesUpdate, api::OrganizationModule, rows};
use crate::{
    notifications::{Notice, events::MODULE_SWITCHED, notify},
    organizations::{self, OrganizationRow},
    refusals::WriteRefusals,
    state::{Area, Place, after},
};

/// The path's `{module}`. Anything but a module names nothing: 404.
pub(super) struct PathModule(Module);

impl<S: Send + Sync> FromRequestParts<S> for PathModule {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::not_found())?;
        let word = path.iter().find(|(name, _)| *name == "module");
        word.and_then(|(_, word)| Module::from_word(word))
            .map(Self)
            .ok_or_else(ApiError::not_found)
    }
}

/// [Modules] Enable a module
///
/// Switch a module on. Doing it twice changes nothing.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/modules/{module}/enable",
    operation_id = "enable_organization_module",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("module" = inline(Module), Path)),
    responses((status = 200, body = OrganizationModule, description = "Module enabled"), WriteRefusals),
    extensions(
        ("x-permission" = json!(ModulesUpdate::NAME)),
        ("x-minimum-role" = json!(ModulesUpdate::ROLE.as_str())),
        ("x-scope" = json!(ModulesUpdate::SCOPE)),
    )
)]
pub(super) async fn enable_organization_module(
    scope: OrganizationScope<ModulesUpdate>,
    PathModule(module): PathModule,
    State(area): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    switch(scope, module, area, change, true).await
}

/// [Modules] Disable a module
///
/// Switch a module off; its endpoints then answer 403 for the organization. Refused while the module still has live
/// resources.
#[utoipa::path(
    post,
    path = "/v1/organizations/{organization_id}/modules/{module}/disable",
    operation_id = "disable_organization_module",
    tag = "Organizations",
    security(("BearerAuth" = [])),
    params(("organization_id" = String, Path), ("module" = inline(Module), Path)),
    responses((status = 200, body = OrganizationModule, description = "Module disabled"), WriteRefusals),
    extensions(
        ("x-permission" = json!(ModulesUpdate::NAME)),
        ("x-minimum-role" = json!(ModulesUpdate::ROLE.as_str())),
        ("x-scope" = json!(ModulesUpdate::SCOPE)),
    )
)]
pub(super) async fn disable_organization_module(
    scope: OrganizationScope<ModulesUpdate>,
    PathModule(module): PathModule,
    State(area): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    switch(scope, module, area, change, false).await
}

async fn switch(
    scope: OrganizationScope<ModulesUpdate>,
    module: Module,
    Area { app, counter, .. }: Area,
    change: Change<NoBody>,
    on: bool,
) -> ApiResult<Response> {
    let offered = app.config().organizations.modules.clone();
    let (caller, id) = (scope.caller.clone(), scope.organization);
    let name = if on {
        "enable_organization_module"
    } else {
        "disable_organization_module"
    };
    let work = move |tx: &mut Tx<'_>, _: &Change<NoBody>| {
        let mut row = organizations::lock(tx, id)?;
        let counts = counter.live(tx.conn(), Place::Organization(id))?;
        let mut modules = Module::read(&row.modules);
        if modules.contains(&module) != on {
            if on {
                let is_offered = offered.iter().any(|word| word == module.as_str());
                if !is_offered {
                    return Err(ApiError::refused("This module is not available."));
                }
                modules.push(module);
                rows::note(tx, id, module, scope.caller.user)?;
            } else {
                let left = module.share(&counts);
                if left > 0 {
                    return Err(ApiError::refused(format!(
                        "The module still has {left} live resources: delete them first."
                    )));
                }
                modules.retain(|open| *open != module);
            }
            let before = row.modules.clone();
            row.modules = Module::write(&modules);
            row.modified = after(row.modified, tx.now());
            rows::save(tx, &row)?;
            let origin = Origin::caller(&scope.caller, &scope.request);
            tx.audit(&origin, Some(id), None, &event(&row, module, on, &before))?;
            let facts = json!({ "module": module.as_str(), "switched": if on { "on" } else { "off" } });
            notify(
                tx,
                Notice::new(id, &MODULE_SWITCHED, facts).except([scope.caller.user]),
            )?;
        }
        let views = rows::views(tx.conn(), &row, &offered, &counts)?;
        let shown = views.into_iter().find(|view| view.slug == module);
        Ok(Answer::plain(shown.ok_or_else(ApiError::not_found)?))
    };
    change.run(&app, &caller, name, work).await
}

fn event(row: &OrganizationRow, module: Module, on: bool, before: &JsonText) -> Event {
    let mut changes = Changes::default();
    changes.note("modules", before, &row.modules);
    let (action, done) = if on {
        ("organization.module_enabled", "switched on")
    } else {
        ("organization.module_disabled", "switched off")
    };
    Event {
        action,
        resource_type: "organization",
        resource_id: row.id.cast(),
        resource_name: row.name.clone(),
        description: format!("Module {} {done}", module.name()),
        changes,
        status: AuditStatus::Success,
    }
}
