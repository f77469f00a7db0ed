//! The area's tables, as Diesel sees them; `migrations/` documents the columns.
#![allow(missing_docs, reason = "the migrations document tables and columns")]

diesel::table! {
    use diesel::sql_types::{Bool, Text};
    use kernel::store::sql::{Moment, Uuid};

    locations (id) {
        id -> Uuid,
        name -> Text,
        slug -> Text,
        country_code -> Text,
        is_active -> Bool,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Text};
    use kernel::store::sql::{Moment, Uuid};

    sizes (id) {
        id -> Uuid,
        name -> Text,
        slug -> Text,
        cpu_model -> Text,
        vcpu -> BigInt,
        ram_mb -> BigInt,
        bandwidth_mbps -> BigInt,
        is_active -> Bool,
        description -> Text,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Text};
    use kernel::store::sql::Uuid;

    size_volumes (id) {
        id -> Uuid,
        size_id -> Uuid,
        volume_type -> Text,
        disk_gb -> BigInt,
        is_default -> Bool,
        is_active -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Text};
    use kernel::store::sql::Uuid;

    size_prices (id) {
        id -> Uuid,
        size_id -> Uuid,
        billing_cycle -> Text,
        price -> BigInt,
        discount_percent -> BigInt,
        is_default -> Bool,
        is_active -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Text};
    use kernel::store::sql::Uuid;

    addons (id) {
        id -> Uuid,
        slug -> Text,
        name -> Text,
        name_fr -> Text,
        description -> Text,
        description_fr -> Text,
        billing_type -> Text,
        is_active -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::Bool;
    use kernel::store::sql::Uuid;

    size_addons (id) {
        id -> Uuid,
        size_id -> Uuid,
        addon_id -> Uuid,
        is_included -> Bool,
        is_default -> Bool,
        is_active -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Text};
    use kernel::store::sql::Uuid;

    size_addon_prices (id) {
        id -> Uuid,
        size_addon_id -> Uuid,
        billing_cycle -> Text,
        price -> BigInt,
        is_active -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    images (id) {
        id -> Uuid,
        organization_id -> Nullable<Uuid>,
        name -> Text,
        slug -> Text,
        description -> Text,
        visibility -> Text,
        os_name -> Text,
        os_version -> Text,
        os_architecture -> Text,
        language -> Text,
        is_active -> Bool,
        is_featured -> Bool,
        is_windows -> Bool,
        requires_license_addon -> Bool,
        min_disk_gb -> BigInt,
        min_ram_mb -> BigInt,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    image_files (image_id) {
        image_id -> Uuid,
        project_id -> Nullable<Uuid>,
        status -> Text,
        digest -> Nullable<Text>,
        size_bytes -> Nullable<BigInt>,
        virtual_size_bytes -> Nullable<BigInt>,
        source_url -> Nullable<Text>,
        expected_checksum -> Nullable<Text>,
        error -> Nullable<Text>,
        progress -> BigInt,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Text};
    use kernel::store::sql::Moment;

    image_leftovers (digest) {
        digest -> Text,
        being_removed -> Bool,
        created -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    vpcs (id) {
        id -> Uuid,
        organization_id -> Uuid,
        project_id -> Nullable<Uuid>,
        location_id -> Uuid,
        name -> Text,
        cidr_block -> Text,
        is_default -> Bool,
        is_active -> Bool,
        version -> BigInt,
        created -> Moment,
        modified -> Moment,
        deleted_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    vpc_subnets (id) {
        id -> Uuid,
        organization_id -> Uuid,
        vpc_id -> Uuid,
        name -> Text,
        cidr_block -> Text,
        gateway -> Nullable<Text>,
        dhcp_enabled -> Bool,
        dns_servers -> Text,
        is_active -> Bool,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use kernel::store::sql::{Moment, Uuid};

    private_addresses (id) {
        id -> Uuid,
        vpc_id -> Uuid,
        subnet_id -> Uuid,
        instance_id -> Uuid,
        address -> Text,
        position -> BigInt,
        created -> Moment,
    }
}

diesel::joinable!(private_addresses -> vpc_subnets (subnet_id));
diesel::allow_tables_to_appear_in_same_query!(private_addresses, vpc_subnets);

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    instances (id) {
        id -> Uuid,
        legacy_id -> BigInt,
        organization_id -> Uuid,
        project_id -> Uuid,
        name -> Text,
        hostname -> Text,
        description -> Text,
        search -> Text,
        status -> Text,
        size_id -> Uuid,
        location_id -> Uuid,
        vpc_id -> Uuid,
        image_id -> Uuid,
        os_name -> Text,
        primary_ipv4 -> Nullable<Uuid>,
        primary_ipv6 -> Nullable<Uuid>,
        billing_cycle -> Text,
        billing_start_date -> Moment,
        billing_end_date -> Nullable<Moment>,
        next_billing_date -> Nullable<Moment>,
        cancellation_requested_at -> Nullable<Moment>,
        cancellation_reason -> Text,
        bandwidth_used_gb -> BigInt,
        tags -> Text,
        is_active -> Bool,
        is_installed -> Bool,
        version -> BigInt,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use kernel::store::sql::Uuid;

    instance_tags (instance_id, tag_key) {
        instance_id -> Uuid,
        tag_key -> Text,
        tag_value -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    ip_addresses (id) {
        id -> Uuid,
        organization_id -> Uuid,
        project_id -> Uuid,
        instance_id -> Nullable<Uuid>,
        address -> Text,
        ip_type -> Text,
        interface -> BigInt,
        netmask -> Nullable<Text>,
        gateway -> Text,
        network_id -> Nullable<Uuid>,
        vlan -> Nullable<BigInt>,
        mac_address -> Text,
        is_primary -> Bool,
        reverse_dns -> Text,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    volumes (id) {
        id -> Uuid,
        organization_id -> Uuid,
        project_id -> Uuid,
        instance_id -> Nullable<Uuid>,
        location_id -> Uuid,
        name -> Text,
        size_gb -> BigInt,
        status -> Text,
        disk_name -> Text,
        price_monthly -> BigInt,
        is_active -> Bool,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use kernel::store::sql::{Moment, Uuid};

    instance_states (id) {
        id -> Uuid,
        instance_id -> Uuid,
        vm_status -> Text,
        uptime -> BigInt,
        cpu_usage -> BigInt,
        memory_usage_mb -> BigInt,
        disk_usage_gb -> BigInt,
        network_in_bytes -> BigInt,
        network_out_bytes -> BigInt,
        last_synced_at -> Moment,
        sync_source -> Text,
    }
}

diesel::table! {
    use kernel::store::sql::{Moment, Uuid};

    network_attachments (instance_id) {
        instance_id -> Uuid,
        vpc_id -> Uuid,
        attached_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    hosts (id) {
        id -> Uuid,
        name -> Text,
        location_id -> Uuid,
        cpus -> BigInt,
        memory_mb -> BigInt,
        disk_gb -> BigInt,
        cpus_taken -> BigInt,
        memory_mb_taken -> BigInt,
        disk_gb_taken -> BigInt,
        is_in_maintenance -> Bool,
        last_seen_at -> Nullable<Moment>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    machines (instance_id) {
        instance_id -> Uuid,
        host_id -> Uuid,
        cpus -> BigInt,
        memory_mb -> BigInt,
        disk_gb -> BigInt,
        power -> Text,
        is_protected -> Bool,
        rescue_image_id -> Nullable<Uuid>,
        password -> Nullable<Text>,
        user_data -> Nullable<Text>,
        rescue_password -> Nullable<Text>,
        seed_id -> Uuid,
        interface_id -> Uuid,
        mac_address -> Text,
        private_interface_id -> Uuid,
        private_mac_address -> Text,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    instance_addons (id) {
        id -> Uuid,
        organization_id -> Uuid,
        project_id -> Uuid,
        instance_id -> Uuid,
        addon_id -> Uuid,
        status -> Text,
        billing_cycle -> Text,
        price -> BigInt,
        activated_at -> Nullable<Moment>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    address_pools (id) {
        id -> Uuid,
        location_id -> Uuid,
        family -> Text,
        purpose -> Text,
        cidr -> Text,
        gateway -> Text,
        vlan -> Nullable<BigInt>,
        first_usable -> Text,
        last_usable -> Text,
        capacity -> BigInt,
        handed_out -> BigInt,
        quarantine_seconds -> BigInt,
        is_active -> Bool,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::BigInt;
    use kernel::store::sql::{Moment, Uuid};

    released_addresses (pool_id, position) {
        pool_id -> Uuid,
        position -> BigInt,
        free_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::Uuid;

    priced_addresses (address_id) {
        address_id -> Uuid,
        instance_id -> Uuid,
        reverse_dns -> Text,
        user_id -> Uuid,
        request_id -> Uuid,
        task_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use kernel::store::sql::Uuid;

    instance_interfaces (instance_id, interface) {
        instance_id -> Uuid,
        interface -> BigInt,
        mac_address -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use kernel::store::sql::Uuid;

    configured_addresses (instance_id, address) {
        instance_id -> Uuid,
        address -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    ssh_keys (id) {
        id -> Uuid,
        organization_id -> Uuid,
        project_id -> Uuid,
        name -> Text,
        public_key -> Text,
        fingerprint -> Text,
        key_type -> Text,
        created_by -> Nullable<Uuid>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use kernel::store::sql::{Moment, Uuid};

    instance_ssh_keys (instance_id, ssh_key_id) {
        instance_id -> Uuid,
        ssh_key_id -> Uuid,
        name -> Text,
        public_key -> Text,
        fingerprint -> Text,
        added_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use kernel::store::sql::Uuid;

    guest_ssh_keys (instance_id, position) {
        instance_id -> Uuid,
        position -> BigInt,
        public_key -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable};
    use kernel::store::sql::{Moment, Uuid};

    machine_watches (instance_id) {
        instance_id -> Uuid,
        uptime_ms -> BigInt,
        cpu_ms -> BigInt,
        disk_read_bytes -> BigInt,
        disk_write_bytes -> BigInt,
        network_in_bytes -> BigInt,
        network_out_bytes -> BigInt,
        unrolled_from -> Nullable<BigInt>,
        bandwidth_month -> BigInt,
        quota_told_month -> BigInt,
        restarts -> BigInt,
        first_restart_at -> Nullable<Moment>,
        last_restart_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable};
    use kernel::store::sql::Uuid;

    metric_points (instance_id, step, slot) {
        instance_id -> Uuid,
        step -> BigInt,
        slot -> BigInt,
        samples -> BigInt,
        cpu_sum -> BigInt,
        cpu_max -> BigInt,
        memory_sum -> BigInt,
        memory_max -> BigInt,
        disk_read_bytes -> BigInt,
        disk_write_bytes -> BigInt,
        network_in_bytes -> Nullable<BigInt>,
        network_out_bytes -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::Uuid;

    instance_wishes (task_id, field) {
        task_id -> Uuid,
        instance_id -> Uuid,
        field -> Text,
        value_before -> Nullable<Text>,
        value_after -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::Text;
    use kernel::store::sql::{Moment, Uuid};

    task_secrets (task_id) {
        task_id -> Uuid,
        user_id -> Uuid,
        sealed -> Text,
        expires -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    instance_resizes (id) {
        id -> Uuid,
        organization_id -> Uuid,
        project_id -> Uuid,
        instance_id -> Uuid,
        status -> Text,
        size_id -> Uuid,
        cpus -> BigInt,
        memory_mb -> BigInt,
        disk_gb -> BigInt,
        previous_cpus -> BigInt,
        previous_memory_mb -> BigInt,
        previous_disk_gb -> BigInt,
        description -> Text,
        price -> BigInt,
        monthly_cap -> Nullable<BigInt>,
        next_cycle -> Nullable<Text>,
        next_price -> Nullable<BigInt>,
        next_monthly_cap -> Nullable<BigInt>,
        paid -> BigInt,
        task_id -> Nullable<Uuid>,
        user_id -> Nullable<Uuid>,
        request_id -> Nullable<Uuid>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    console_sessions (id) {
        id -> Uuid,
        organization_id -> Uuid,
        project_id -> Uuid,
        instance_id -> Uuid,
        user_id -> Uuid,
        credential_id -> Uuid,
        console_type -> Text,
        token_hash -> Nullable<Text>,
        status -> Text,
        expires_at -> Moment,
        seen_at -> Nullable<Moment>,
        created -> Moment,
        closed_at -> Nullable<Moment>,
        ending -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    snapshots (id) {
        id -> Uuid,
        organization_id -> Uuid,
        project_id -> Uuid,
        instance_id -> Uuid,
        host_id -> Uuid,
        name -> Text,
        description -> Text,
        status -> Text,
        volume_id -> Uuid,
        disk_gb -> BigInt,
        image_id -> Uuid,
        os_name -> Text,
        size_bytes -> Nullable<BigInt>,
        task_id -> Nullable<Uuid>,
        error_message -> Text,
        restored_at -> Nullable<Moment>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    backup_schedules (id) {
        id -> Uuid,
        organization_id -> Uuid,
        project_id -> Uuid,
        instance_id -> Uuid,
        name -> Text,
        frequency -> Text,
        run_at -> Text,
        weekday -> Nullable<BigInt>,
        day_of_month -> Nullable<BigInt>,
        timezone -> Text,
        retention_count -> BigInt,
        retention_days -> Nullable<BigInt>,
        is_active -> Bool,
        last_run_at -> Nullable<Moment>,
        last_backup_id -> Nullable<Uuid>,
        last_status -> Text,
        next_run_at -> Nullable<Moment>,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use kernel::store::sql::{Moment, Uuid};

    backups (id) {
        id -> Uuid,
        organization_id -> Uuid,
        project_id -> Uuid,
        instance_id -> Uuid,
        host_id -> Uuid,
        schedule_id -> Nullable<Uuid>,
        name -> Text,
        description -> Text,
        backup_type -> Text,
        status -> Text,
        is_protected -> Bool,
        expires_at -> Nullable<Moment>,
        disk_gb -> BigInt,
        image_id -> Uuid,
        os_name -> Text,
        size_bytes -> Nullable<BigInt>,
        started_at -> Nullable<Moment>,
        completed_at -> Nullable<Moment>,
        task_id -> Nullable<Uuid>,
        error_message -> Text,
        created -> Moment,
        modified -> Moment,
    }
}

diesel::allow_tables_to_appear_in_same_query!(snapshots, instances);
diesel::allow_tables_to_appear_in_same_query!(snapshots, volumes);
diesel::allow_tables_to_appear_in_same_query!(backups, instances);
diesel::allow_tables_to_appear_in_same_query!(
    instances,
    hosts,
    machines,
    network_attachments,
    vpcs,
    instance_states,
    instance_tags,
    ip_addresses,
    volumes,
    machine_watches,
    locations,
    console_sessions,
    private_addresses,
);
diesel::allow_tables_to_appear_in_same_query!(images, image_files);
diesel::allow_tables_to_appear_in_same_query!(instances, image_files);
diesel::allow_tables_to_appear_in_same_query!(address_pools, released_addresses);
diesel::allow_tables_to_appear_in_same_query!(address_pools, ip_addresses);
diesel::joinable!(priced_addresses -> ip_addresses (address_id));
diesel::allow_tables_to_appear_in_same_query!(priced_addresses, ip_addresses);
diesel::allow_tables_to_appear_in_same_query!(instance_ssh_keys, ssh_keys);
diesel::allow_tables_to_appear_in_same_query!(instance_ssh_keys, instances);
