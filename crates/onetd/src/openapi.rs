//! The head of the API's document; the rest is made from the operations.

use kernel::http::Areas;
use serde_json::Value;
use utoipa::{
    OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "OnetSolutions API",
        version = "v1 (v1)",
        description = include_str!("openapi.md"),
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact(),
    ),
    modifiers(&Bearer),
    tags(
        (name = "Authentication", description = "Login, passwordless authentication, MFA, OAuth providers, and token management."),
        (name = "Organizations", description = "Organization management, members, roles, modules, audit logs, and notification settings."),
        (name = "Projects", description = "Project management, team members, and project-scoped resources."),
        (name = "Compute", description = "Cloud instances, volumes, snapshots, backups, VPCs, firewalls, SSH keys, uptime monitors, and instance tasks."),
    ),
)]
struct Head;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT or API Key")
            .description(Some(
                "Use `Authorization: Bearer <token>` header. Token can be a JWT token or an API key (format: \
                 `sk-onetsolutions-...`).",
            ))
            .build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("BearerAuth", SecurityScheme::Http(scheme));
    }
}

/// The document's head, to which the operations are added.
pub(crate) fn head() -> utoipa::openapi::OpenApi {
    Head::openapi()
}

/// The whole document as it is kept in the repository: pretty JSON, and a line break at its end.
pub fn snapshot(areas: &Areas) -> String {
    pretty(&areas.document)
}

fn pretty(document: &Value) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}
