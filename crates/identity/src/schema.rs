//! The area's tables, as Diesel sees them; `migrations/` documents the columns.
#![allow(missing_docs, reason = "the migrations document tables and columns")]

diesel::table! {
    use diesel::sql_types::{BigInt, Text};

    /// Of the kernel's migration: numbers that grow by one.
    counters (name) {
        name -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    users (id) {
        id -> Uuid,
        legacy_id -> BigInt,
        email -> Text,
        email_key -> Text,
        email_verified -> Bool,
        password_hash -> Nullable<Text>,
        first_name -> Text,
        last_name -> Text,
        phone -> Text,
        company_name -> Text,
        language -> Text,
        timezone -> Text,
        marketing_consent -> Bool,
        is_active -> Bool,
        is_staff -> Bool,
        last_login -> Nullable<Moment>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Text};
    use kernel::store::sql::{Moment, Uuid};

    organizations (id) {
        id -> Uuid,
        legacy_id -> BigInt,
        name -> Text,
        modules -> Text,
        organization_type -> Text,
        support_plan -> Text,
        user_quota -> BigInt,
        project_quota -> BigInt,
        instance_quota -> BigInt,
        domain_quota -> BigInt,
        logo -> Text,
        company_name -> Text,
        address_1 -> Text,
        address_2 -> Text,
        city -> Text,
        state -> Text,
        postcode -> Text,
        country -> Text,
        phone -> Text,
        vat_number -> Text,
        is_active -> Bool,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use kernel::store::sql::{Moment, Uuid};

    memberships (organization_id, user_id) {
        organization_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    projects (id) {
        id -> Uuid,
        legacy_id -> BigInt,
        organization_id -> Uuid,
        name -> Text,
        description -> Text,
        environment -> Text,
        color -> Text,
        tags -> Text,
        is_default -> Bool,
        is_active -> Bool,
        created_by -> Nullable<Uuid>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use kernel::store::sql::{Moment, Uuid};

    project_members (project_id, user_id) {
        project_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    credentials (id) {
        id -> Uuid,
        kind -> Text,
        user_id -> Uuid,
        name -> Text,
        prefix -> Text,
        secret_hash -> Nullable<Text>,
        scopes -> Text,
        organization_id -> Nullable<Uuid>,
        project_id -> Nullable<Uuid>,
        expires_at -> Nullable<Moment>,
        revoked_at -> Nullable<Moment>,
        last_used_at -> Nullable<Moment>,
        last_used_ip -> Nullable<Text>,
        user_agent -> Text,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    refresh_tokens (token_hash) {
        token_hash -> Text,
        session_id -> Uuid,
        expires_at -> Moment,
        used_at -> Nullable<Moment>,
        created -> Moment,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    credentials,
    memberships,
    organizations,
    project_members,
    projects,
    refresh_tokens,
    users,
);
