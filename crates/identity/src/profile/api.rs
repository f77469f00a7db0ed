//! What goes over the wire besides the [`User`] itself.

use kernel::{
    access::{OrganizationId, ProjectId},
    http::{Body, Part},
    json::present,
    language::Language,
    openapi::{Patched, WriteOnly},
};
use serde::Deserialize;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, SchemaFormat, Type},
};

use crate::auth::User;

/// What a client wants of its profile: the fields that it sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) company_name: Option<String>,
    pub(super) language: Option<Language>,
    pub(super) timezone: Option<String>,
    /// Absent; null (none); an organization.
    #[serde(deserialize_with = "present")]
    pub(super) default_organization_id: Option<Option<OrganizationId>>,
    /// Absent; null (none); a project.
    #[serde(deserialize_with = "present")]
    pub(super) default_project_id: Option<Option<ProjectId>>,
    pub(super) marketing_consent: Option<bool>,
}

/// The body of `replace_profile`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct ProfileReplace(pub(super) Wanted);

impl Body for ProfileReplace {
    type Wire = User;
}

/// A profile in which nothing is required.
pub(super) type PatchedUser = Patched<User>;

/// The body of `update_profile`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct ProfileUpdate(pub(super) Wanted);

impl Body for ProfileUpdate {
    type Wire = PatchedUser;
    const PARTIAL: bool = true;
}

/// The form of `upload_profile_picture`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "documents the form")]
pub(super) struct PictureUpload {
    /// PNG, JPEG or WebP, 2 MB at most.
    #[schema(write_only, schema_with = file)]
    picture: WriteOnly<()>,
}

fn file() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom("binary".to_owned())))
        .description(Some("PNG, JPEG or WebP, 2 MB at most."))
        .write_only(true)
        .into()
}

/// The picture in that form.
#[derive(Debug)]
pub(super) enum Picture {}

impl Part for Picture {
    const FIELD: &'static str = "picture";
    const MOST_BYTES: usize = 2 * 1024 * 1024;
}
