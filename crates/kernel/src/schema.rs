//! The kernel's tables, as Diesel sees them; `migrations/` documents the columns.
#![allow(missing_docs, reason = "the migrations document tables and columns")]

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use crate::store::sql::{Moment, Uuid};

    /// Only ever inserted into and read; the oldest are deleted if the settings say so.
    audit_records (id) {
        id -> Uuid,
        organization_id -> Nullable<Uuid>,
        project_id -> Nullable<Uuid>,
        actor_type -> Text,
        actor_id -> Nullable<Uuid>,
        actor_name -> Text,
        actor_email -> Nullable<Text>,
        action -> Text,
        resource_type -> Text,
        resource_id -> Nullable<Uuid>,
        resource_name -> Text,
        status -> Text,
        description -> Text,
        changes -> Text,
        ip_address -> Nullable<Text>,
        user_agent -> Text,
        request_id -> Nullable<Uuid>,
        created -> Moment,
        seal -> Text,
    }
}
diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Text};
    use crate::store::sql::Uuid;

    /// The order of the records of a chain.
    audit_links (chain, sequence) {
        chain -> Uuid,
        sequence -> BigInt,
        record_id -> Uuid,
        is_sound -> Bool,
        hash -> Text,
    }
}
diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use crate::store::sql::{Moment, Uuid};

    /// Where chains begin and end.
    audit_heads (chain) {
        chain -> Uuid,
        sequence -> BigInt,
        hash -> Text,
        anchor_sequence -> BigInt,
        anchor_hash -> Text,
        last_created -> Moment,
        seal -> Text,
    }
}
diesel::allow_tables_to_appear_in_same_query!(audit_records, audit_links);
diesel::table! {
    use diesel::sql_types::{Bool, Integer, Nullable, Text};
    use crate::store::sql::{Moment, Uuid};

    /// Work to be done, being done, and done.
    tasks (id) {
        id -> Uuid,
        kind -> Text,
        organization_id -> Uuid,
        project_id -> Uuid,
        resource_type -> Text,
        resource_id -> Uuid,
        status -> Text,
        step -> Integer,
        step_name -> Text,
        undoing -> Bool,
        progress -> Integer,
        parameters -> Text,
        notes -> Text,
        result -> Nullable<Text>,
        error -> Nullable<Text>,
        error_detail -> Nullable<Text>,
        retry_count -> Integer,
        max_retries -> Integer,
        run_at -> Moment,
        lease_owner -> Nullable<Uuid>,
        lease_until -> Nullable<Moment>,
        created_by -> Nullable<Uuid>,
        request_id -> Nullable<Uuid>,
        created -> Moment,
        modified -> Moment,
        started_at -> Nullable<Moment>,
        completed_at -> Nullable<Moment>,
    }
}
diesel::table! {
    use diesel::sql_types::{Integer, Text};
    use crate::store::sql::{Moment, Uuid};

    /// Answers that were given to writes with a key.
    idempotency_keys (owner, idempotency_key) {
        owner -> Uuid,
        idempotency_key -> Text,
        fingerprint -> Text,
        status -> Integer,
        headers -> Text,
        body -> Text,
        created -> Moment,
    }
}
diesel::table! {
    use diesel::sql_types::{Integer, Nullable, Text};
    use crate::store::sql::{Moment, Uuid};

    /// Mails to be sent, and what became of them.
    mails (id) {
        id -> Uuid,
        to_address -> Text,
        language -> Text,
        template -> Text,
        content -> Nullable<Text>,
        message_id -> Text,
        status -> Text,
        attempts -> Integer,
        error -> Nullable<Text>,
        created -> Moment,
        modified -> Moment,
        sent_at -> Nullable<Moment>,
    }
}
diesel::table! {
    use diesel::sql_types::Text;
    use crate::store::sql::Moment;

    /// What DNS would be told of the names of addresses.
    reverse_names (address) {
        address -> Text,
        name -> Text,
        set_at -> Moment,
    }
}
