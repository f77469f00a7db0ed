//! The area's tables, as Diesel sees them; `migrations/` documents the columns.
#![allow(missing_docs, reason = "the migrations document tables and columns")]

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    billing_accounts (organization_id) {
        organization_id -> Uuid,
        currency -> Text,
        auto_pay -> Bool,
        use_credit_first -> Bool,
        auto_top_up_enabled -> Bool,
        auto_top_up_threshold -> Nullable<BigInt>,
        auto_top_up_amount -> Nullable<BigInt>,
        invoice_emails -> Text,
        purchase_order_reference -> Text,
        invoice_language -> Text,
        wake_at -> Nullable<Moment>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    ledger_transactions (id) {
        id -> Uuid,
        organization_id -> Uuid,
        kind -> Text,
        movement -> Nullable<Text>,
        credit_change -> BigInt,
        credit_after -> BigInt,
        currency -> Text,
        invoice_id -> Nullable<Uuid>,
        payment_id -> Nullable<Uuid>,
        description -> Text,
        created_by -> Nullable<Uuid>,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Integer, Text};
    use kernel::store::sql::Uuid;

    ledger_entries (transaction_id, position) {
        transaction_id -> Uuid,
        position -> Integer,
        organization_id -> Uuid,
        debit -> Text,
        credit -> Text,
        amount -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use kernel::store::sql::Uuid;

    ledger_balances (organization_id, account) {
        organization_id -> Uuid,
        account -> Text,
        balance -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Integer, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    invoices (id) {
        id -> Uuid,
        legacy_id -> BigInt,
        organization_id -> Uuid,
        number -> Text,
        #[sql_name = "type"]
        type_ -> Text,
        status -> Text,
        currency -> Text,
        subtotal -> BigInt,
        tax_total -> BigInt,
        total -> BigInt,
        credit_applied -> BigInt,
        amount_paid -> BigInt,
        credited -> BigInt,
        order_id -> Nullable<Uuid>,
        credit_of -> Nullable<Uuid>,
        parties -> Text,
        issued_at -> Moment,
        due_at -> Moment,
        payable_until -> Moment,
        paid_at -> Nullable<Moment>,
        stage -> Integer,
        wake_at -> Nullable<Moment>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Integer, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    invoice_lines (id) {
        id -> Uuid,
        invoice_id -> Uuid,
        position -> Integer,
        description -> Text,
        description_fr -> Text,
        service_type -> Text,
        service_id -> Nullable<Uuid>,
        resource_id -> Nullable<Uuid>,
        project_id -> Nullable<Uuid>,
        billing_cycle -> Nullable<Text>,
        period_start -> Nullable<Moment>,
        period_end -> Nullable<Moment>,
        quantity -> BigInt,
        unit_price -> BigInt,
        discount -> BigInt,
        tax_rate -> BigInt,
        tax -> BigInt,
        total -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    orders (id) {
        id -> Uuid,
        legacy_id -> BigInt,
        organization_id -> Uuid,
        status -> Text,
        currency -> Text,
        total -> BigInt,
        invoice_id -> Nullable<Uuid>,
        reason -> Text,
        created_by -> Nullable<Uuid>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    services (id) {
        id -> Uuid,
        organization_id -> Uuid,
        project_id -> Uuid,
        kind -> Text,
        resource_id -> Uuid,
        order_id -> Uuid,
        name -> Text,
        name_fr -> Text,
        status -> Text,
        billing_cycle -> Text,
        price -> BigInt,
        monthly_cap -> Nullable<BigInt>,
        quantity -> BigInt,
        options -> Text,
        next_cycle -> Nullable<Text>,
        next_price -> Nullable<BigInt>,
        next_monthly_cap -> Nullable<BigInt>,
        anchor -> Moment,
        period_start -> Moment,
        next_billing_date -> Nullable<Moment>,
        used_from -> Nullable<Moment>,
        renewal_invoice_id -> Nullable<Uuid>,
        renewal_due -> Nullable<Moment>,
        renewal_paid -> Bool,
        cancellation_requested_at -> Nullable<Moment>,
        cancellation_reason -> Text,
        started_at -> Nullable<Moment>,
        ended_at -> Nullable<Moment>,
        suspended_at -> Nullable<Moment>,
        terminate_at -> Nullable<Moment>,
        wake_at -> Nullable<Moment>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Integer, Text};
    use kernel::store::sql::Uuid;

    order_items (id) {
        id -> Uuid,
        order_id -> Uuid,
        position -> Integer,
        service_id -> Uuid,
        description -> Text,
        kind -> Text,
        resource_id -> Uuid,
        project_id -> Uuid,
        billing_cycle -> Text,
        quantity -> BigInt,
        setup_fee -> BigInt,
        price -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::Nullable;
    use kernel::store::sql::{Moment, Uuid};

    service_periods (service_id, period_start) {
        service_id -> Uuid,
        period_start -> Moment,
        period_end -> Moment,
        invoice_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable};
    use kernel::store::sql::{Moment, Uuid};

    usage_records (service_id, used_from) {
        service_id -> Uuid,
        used_from -> Moment,
        used_to -> Moment,
        organization_id -> Uuid,
        project_id -> Uuid,
        hours -> BigInt,
        unit_price -> BigInt,
        amount -> BigInt,
        invoice_id -> Nullable<Uuid>,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Integer, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    payment_methods (id) {
        id -> Uuid,
        organization_id -> Uuid,
        driver -> Text,
        #[sql_name = "type"]
        type_ -> Text,
        label -> Text,
        brand -> Nullable<Text>,
        last4 -> Nullable<Text>,
        exp_month -> Nullable<Integer>,
        exp_year -> Nullable<Integer>,
        paypal_email -> Nullable<Text>,
        is_default -> Bool,
        reference -> Text,
        removed_at -> Nullable<Moment>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    payments (id) {
        id -> Uuid,
        organization_id -> Uuid,
        invoice_id -> Uuid,
        payment_method_id -> Nullable<Uuid>,
        driver -> Text,
        amount -> BigInt,
        currency -> Text,
        status -> Text,
        reference -> Nullable<Text>,
        return_url -> Nullable<Text>,
        redirect_url -> Nullable<Text>,
        failure_reason -> Nullable<Text>,
        created_by -> Nullable<Uuid>,
        created -> Moment,
        modified -> Moment,
        wake_at -> Nullable<Moment>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    billing_accounts,
    ledger_transactions,
    ledger_entries,
    ledger_balances,
    invoices,
    invoice_lines,
    orders,
    services,
    order_items,
    service_periods,
    usage_records,
    payment_methods,
    payments
);
