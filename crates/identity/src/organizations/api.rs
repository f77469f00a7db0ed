//! What goes over the wire.

use kernel::{
    access::{OrganizationId, Role},
    http::Body,
    json::JsonText,
    openapi::{Patched, Whole},
};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::rows::OrganizationRow;

kernel::words! {
    /// Kind of organization
    pub enum OrganizationType {
        /// Personal
        Personal = "personal",
        /// Professional
        Professional = "professional",
    }
}

kernel::words! {
    /// Support plan
    pub enum SupportPlan {
        /// Basic
        Basic = "basic",
        /// Advanced
        Advanced = "advanced",
        /// Business
        Business = "business",
    }
}

/// An organization, as its members see it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Organization {
    #[schema(read_only)]
    id: OrganizationId,
    #[schema(read_only, value_type = Whole)]
    legacy_id: i64,
    #[schema(max_length = 255)]
    name: String,
    /// Number of projects in the organization (computed)
    #[schema(value_type = Whole)]
    project_count: i64,
    /// Names of the product modules switched on for the organization
    #[schema(read_only, value_type = Vec<String>)]
    modules: JsonText,
    #[schema(required = false)]
    organization_type: OrganizationType,
    #[schema(required = false)]
    support_plan: SupportPlan,
    #[schema(required = false, minimum = 0, maximum = 4_294_967_295_i64)]
    user_quota: i64,
    #[schema(required = false, minimum = 0, maximum = 4_294_967_295_i64)]
    project_quota: i64,
    /// Maximum number of instances allowed
    #[schema(required = false, minimum = 0, maximum = 4_294_967_295_i64)]
    instance_quota: i64,
    #[schema(required = false, minimum = 0, maximum = 4_294_967_295_i64)]
    domain_quota: i64,
    #[schema(required = false, extensions(("x-allow-blank" = json!(true))))]
    logo: String,
    #[schema(required = false, extensions(("x-allow-blank" = json!(true))))]
    company_name: String,
    #[schema(required = false, extensions(("x-allow-blank" = json!(true))))]
    address_1: String,
    #[schema(required = false, extensions(("x-allow-blank" = json!(true))))]
    address_2: String,
    #[schema(required = false, extensions(("x-allow-blank" = json!(true))))]
    city: String,
    #[schema(required = false, extensions(("x-allow-blank" = json!(true))))]
    state: String,
    #[schema(required = false, extensions(("x-allow-blank" = json!(true))))]
    postcode: String,
    #[schema(required = false, extensions(("x-allow-blank" = json!(true))))]
    country: String,
    #[schema(required = false, extensions(("x-allow-blank" = json!(true))))]
    phone: String,
    #[schema(required = false, extensions(("x-allow-blank" = json!(true))))]
    vat_number: String,
    #[schema(required = false)]
    is_active: bool,
}

impl Organization {
    /// The organization as a member with `role` sees it: a guest gets address, phone and VAT number blank.
    pub(super) fn seen_by(role: Role, row: OrganizationRow, project_count: i64) -> Self {
        let OrganizationRow {
            id,
            legacy_id,
            name,
            modules,
            organization_type,
            support_plan,
            user_quota,
            project_quota,
            instance_quota,
            domain_quota,
            logo,
            company_name,
            address_1,
            address_2,
            city,
            state,
            postcode,
            country,
            phone,
            vat_number,
            is_active,
            created: _,
            modified: _,
            deleted_at: _,
        } = row;
        let private = |text| if role == Role::Guest { String::new() } else { text };
        Self {
            id,
            legacy_id,
            name,
            project_count,
            modules,
            organization_type,
            support_plan,
            user_quota,
            project_quota,
            instance_quota,
            domain_quota,
            logo,
            company_name,
            address_1: private(address_1),
            address_2: private(address_2),
            city: private(city),
            state: private(state),
            postcode: private(postcode),
            country: private(country),
            phone: private(phone),
            vat_number: private(vat_number),
            is_active,
        }
    }
}

/// The body of a PATCH.
pub(super) type PatchedOrganization = Patched<Organization>;

/// The fields of an organization that its owners write. The others are in the document, since clients may send back
/// what they have read, and are not looked at.
#[derive(Debug)]
pub(super) enum Fields {}

/// What only operators change, or what is counted.
const NOT_THEIRS: [&str; 7] = [
    "project_count",
    "support_plan",
    "user_quota",
    "project_quota",
    "instance_quota",
    "domain_quota",
    "is_active",
];

impl PartialSchema for Fields {
    fn schema() -> RefOr<Schema> {
        let mut schema = Organization::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object
                .properties
                .retain(|name, _| !NOT_THEIRS.contains(&name.as_str()));
            object
                .required
                .retain(|name| !NOT_THEIRS.contains(&name.as_str()));
        }
        schema
    }
}

impl ToSchema for Fields {
    fn name() -> std::borrow::Cow<'static, str> {
        "OrganizationFields".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Organization::schemas(schemas);
    }
}

/// What is wanted of an organization; a field that is left out keeps its value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) organization_type: Option<OrganizationType>,
    pub(super) logo: Option<String>,
    pub(super) company_name: Option<String>,
    pub(super) address_1: Option<String>,
    pub(super) address_2: Option<String>,
    pub(super) city: Option<String>,
    pub(super) state: Option<String>,
    pub(super) postcode: Option<String>,
    pub(super) country: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) vat_number: Option<String>,
}

/// The body of POST and PUT.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct OrganizationReplace(pub(super) Wanted);

impl Body for OrganizationReplace {
    type Wire = Fields;
}

/// The body of PATCH.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct OrganizationUpdate(pub(super) Wanted);

impl Body for OrganizationUpdate {
    type Wire = Fields;
    const PARTIAL: bool = true;
}
