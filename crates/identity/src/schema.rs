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
        pending_email -> Nullable<Text>,
        default_organization_id -> Nullable<Uuid>,
        default_project_id -> Nullable<Uuid>,
        mfa_default -> Nullable<Text>,
        picture_id -> Nullable<Uuid>,
        deletion_at -> Nullable<Moment>,
        deleted_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
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
        deleted_at -> Nullable<Moment>,
        purged_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    /// When a module was last switched on, and by whom; `organizations.modules` says whether it is.
    organization_modules (organization_id, module) {
        organization_id -> Uuid,
        module -> Text,
        enabled_at -> Moment,
        enabled_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    memberships (organization_id, user_id) {
        organization_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        created -> Moment,
        id -> Nullable<Uuid>,
        invited_by -> Nullable<Uuid>,
        modified -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    invitations (id) {
        id -> Uuid,
        organization_id -> Uuid,
        email -> Text,
        email_key -> Text,
        role -> Text,
        project_roles -> Text,
        message -> Text,
        status -> Text,
        token_hash -> Text,
        invited_by -> Nullable<Uuid>,
        expires_at -> Moment,
        accepted_at -> Nullable<Moment>,
        last_sent_at -> Moment,
        created -> Moment,
        modified -> Moment,
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
        deleted_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    project_members (project_id, user_id) {
        project_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        created -> Moment,
        id -> Nullable<Uuid>,
        invited_by -> Nullable<Uuid>,
        modified -> Nullable<Moment>,
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
        auth_method -> Nullable<Text>,
        mfa_method -> Nullable<Text>,
        authenticated_at -> Nullable<Moment>,
        trusted_device_id -> Nullable<Uuid>,
        allowed_ips -> Text,
        previous_hash -> Nullable<Text>,
        previous_until -> Nullable<Moment>,
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

diesel::table! {
    use diesel::sql_types::{Integer, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    challenges (id) {
        id -> Uuid,
        purpose -> Text,
        user_id -> Nullable<Uuid>,
        email_key -> Nullable<Text>,
        token_hash -> Nullable<Text>,
        code_hash -> Nullable<Text>,
        attempts -> Integer,
        payload -> Text,
        expires_at -> Moment,
        used_at -> Nullable<Moment>,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    security_events (id) {
        id -> Uuid,
        user_id -> Uuid,
        event -> Text,
        ip_address -> Nullable<Text>,
        user_agent -> Text,
        session_id -> Nullable<Uuid>,
        metadata -> Text,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    mfa_methods (user_id, method) {
        user_id -> Uuid,
        method -> Text,
        enabled_at -> Nullable<Moment>,
        secret -> Nullable<Text>,
        last_step -> BigInt,
        pending_until -> Nullable<Moment>,
        last_used_at -> Nullable<Moment>,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    recovery_codes (code_hash) {
        code_hash -> Text,
        user_id -> Uuid,
        used_at -> Nullable<Moment>,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    webauthn_credentials (id) {
        id -> Uuid,
        user_id -> Uuid,
        name -> Text,
        credential_id -> Text,
        credential -> Text,
        aaguid -> Nullable<Uuid>,
        transports -> Text,
        is_passkey -> Bool,
        is_backed_up -> Bool,
        last_used_at -> Nullable<Moment>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    trusted_devices (id) {
        id -> Uuid,
        user_id -> Uuid,
        token_hash -> Text,
        name -> Text,
        user_agent -> Text,
        ip_address -> Text,
        last_used_at -> Nullable<Moment>,
        expires_at -> Moment,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    oauth_connections (id) {
        id -> Uuid,
        user_id -> Uuid,
        provider -> Text,
        issuer -> Text,
        subject -> Text,
        email -> Nullable<Text>,
        display_name -> Nullable<Text>,
        last_used_at -> Nullable<Moment>,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Text};
    use kernel::store::sql::{Moment, Uuid};

    notification_preferences (user_id) {
        user_id -> Uuid,
        email_enabled -> Bool,
        digest -> Text,
        preferences -> Text,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use kernel::store::sql::{Moment, Uuid};

    user_pictures (id) {
        id -> Uuid,
        user_id -> Uuid,
        media_type -> Text,
        data -> Text,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable};
    use kernel::store::sql::Moment;

    signing_keys (generation) {
        generation -> BigInt,
        created -> Moment,
        retired_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    notification_settings (organization_id) {
        organization_id -> Uuid,
        email_enabled -> Bool,
        recipients -> Text,
        switched_off -> Text,
        low_balance_threshold -> Nullable<BigInt>,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    notices (id) {
        id -> Uuid,
        organization_id -> Uuid,
        event -> Text,
        switch -> Nullable<Text>,
        facts -> Text,
        letter -> Nullable<Text>,
        audience -> Text,
        state -> Text,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    notification_webhooks (id) {
        id -> Uuid,
        organization_id -> Uuid,
        url -> Text,
        description -> Text,
        events -> Text,
        is_enabled -> Bool,
        disabled_reason -> Text,
        secret -> Text,
        former_secret -> Nullable<Text>,
        former_until -> Nullable<Moment>,
        failing_since -> Nullable<Moment>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Integer, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    webhook_deliveries (id) {
        id -> Uuid,
        organization_id -> Uuid,
        webhook_id -> Uuid,
        event -> Text,
        payload -> Text,
        status -> Text,
        attempts -> Integer,
        next_attempt_at -> Nullable<Moment>,
        response_status -> Nullable<Integer>,
        error -> Text,
        delivered_at -> Nullable<Moment>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    challenges,
    credentials,
    invitations,
    memberships,
    mfa_methods,
    notices,
    notification_settings,
    notification_webhooks,
    oauth_connections,
    organization_modules,
    organizations,
    project_members,
    projects,
    recovery_codes,
    refresh_tokens,
    security_events,
    trusted_devices,
    user_pictures,
    users,
    webauthn_credentials,
    webhook_deliveries,
);
diesel::joinable!(webhook_deliveries -> notification_webhooks (webhook_id));
