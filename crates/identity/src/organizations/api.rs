//! What goes over the wire.

use kernel::{
    access::{OrganizationId, Role},
    json::JsonText,
    openapi::Whole,
};
use serde::Serialize;
use utoipa::ToSchema;

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
    #[schema(required = false)]
    logo: String,
    #[schema(required = false)]
    company_name: String,
    #[schema(required = false)]
    address_1: String,
    #[schema(required = false)]
    address_2: String,
    #[schema(required = false)]
    city: String,
    #[schema(required = false)]
    state: String,
    #[schema(required = false)]
    postcode: String,
    #[schema(required = false)]
    country: String,
    #[schema(required = false)]
    phone: String,
    #[schema(required = false)]
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
