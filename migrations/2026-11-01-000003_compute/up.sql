create table locations (
    id uuid primary key not null,
    name text not null,
    slug text not null unique,
    country_code text not null,
    is_active boolean not null,
    created timestamptz not null,
    modified timestamptz not null
);

create table sizes (
    id uuid primary key not null,
    name text not null,
    slug text not null unique,
    cpu_model text not null,
    vcpu bigint not null,
    ram_mb bigint not null,
    bandwidth_mbps bigint not null,
    is_active boolean not null,
    description text not null,
    created timestamptz not null,
    modified timestamptz not null
);

create table size_volumes (
    id uuid primary key not null,
    size_id uuid not null references sizes (id),
    volume_type text not null,
    disk_gb bigint not null,
    is_default boolean not null,
    is_active boolean not null
);

-- Amounts are ten-thousandths; percentages too.
create table size_prices (
    id uuid primary key not null,
    size_id uuid not null references sizes (id),
    billing_cycle text not null,
    price bigint not null,
    discount_percent bigint not null,
    is_default boolean not null,
    is_active boolean not null,
    unique (size_id, billing_cycle)
);

create table addons (
    id uuid primary key not null,
    slug text not null unique,
    name text not null,
    name_fr text not null,
    description text not null,
    description_fr text not null,
    billing_type text not null,
    is_active boolean not null
);

create table size_addons (
    id uuid primary key not null,
    size_id uuid not null references sizes (id),
    addon_id uuid not null references addons (id),
    is_included boolean not null,
    is_default boolean not null,
    is_active boolean not null,
    unique (size_id, addon_id)
);

create table size_addon_prices (
    id uuid primary key not null,
    size_addon_id uuid not null references size_addons (id),
    billing_cycle text not null,
    price bigint not null,
    is_active boolean not null,
    unique (size_addon_id, billing_cycle)
);

create table images (
    id uuid primary key not null,
    organization_id uuid references organizations (id),
    name text not null,
    slug text not null,
    description text not null,
    visibility text not null check (visibility in ('public', 'private')),
    os_name text not null,
    os_version text not null,
    os_architecture text not null,
    language text not null,
    is_active boolean not null,
    is_featured boolean not null,
    is_windows boolean not null,
    requires_license_addon boolean not null,
    min_disk_gb bigint not null,
    min_ram_mb bigint not null,
    created timestamptz not null,
    modified timestamptz not null
);
create index images_of_organization on images (organization_id, created);

-- project_id is null for a VPC that all projects of the organization share.
create table vpcs (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    project_id uuid references projects (id),
    location_id uuid not null references locations (id),
    name text not null,
    cidr_block text not null,
    is_default boolean not null,
    is_active boolean not null,
    version bigint not null,
    created timestamptz not null,
    modified timestamptz not null
);
create index vpcs_of_organization on vpcs (organization_id, created, id);
create unique index vpcs_one_default on vpcs (project_id, location_id) where is_default;

create table instances (
    id uuid primary key not null,
    legacy_id bigint not null unique,
    organization_id uuid not null references organizations (id),
    project_id uuid not null references projects (id),
    name text not null,
    hostname text not null,
    description text not null,
    -- Name and host name in lower case, for `search`.
    search text not null,
    status text not null
        check (status in ('pending', 'provisioning', 'active', 'suspended', 'terminated', 'cancelled')),
    size_id uuid not null references sizes (id),
    location_id uuid not null references locations (id),
    vpc_id uuid not null references vpcs (id),
    image_id uuid not null references images (id),
    os_name text not null,
    primary_ipv4 uuid,
    primary_ipv6 uuid,
    billing_cycle text not null,
    billing_start_date timestamptz not null,
    billing_end_date timestamptz,
    next_billing_date timestamptz,
    cancellation_requested_at timestamptz,
    cancellation_reason text not null,
    bandwidth_used_gb bigint not null,
    tags text not null,
    is_active boolean not null,
    is_installed boolean not null,
    version bigint not null,
    created timestamptz not null,
    modified timestamptz not null
);
create index instances_of_project on instances (project_id, created, id);
create index instances_of_project_by_status on instances (project_id, status, created);
create index instances_of_vpc on instances (vpc_id);

-- The string pairs of `instances.tags`, for `?tag=key:value`.
create table instance_tags (
    instance_id uuid not null references instances (id),
    tag_key text not null,
    tag_value text not null,
    primary key (instance_id, tag_key)
);

create table ip_addresses (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    project_id uuid not null references projects (id),
    instance_id uuid references instances (id),
    address text not null unique,
    ip_type text not null check (ip_type in ('ipv4', 'ipv6')),
    interface bigint not null,
    netmask text,
    gateway text not null,
    network_id uuid,
    vlan bigint,
    mac_address text not null,
    is_primary boolean not null,
    reverse_dns text not null,
    created timestamptz not null,
    modified timestamptz not null
);
create index ip_addresses_of_instance on ip_addresses (instance_id);

create table volumes (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    project_id uuid not null references projects (id),
    instance_id uuid references instances (id),
    location_id uuid not null references locations (id),
    name text not null,
    size_gb bigint not null,
    status text not null,
    disk_name text not null,
    price_monthly bigint not null,
    is_active boolean not null,
    created timestamptz not null,
    modified timestamptz not null
);
create index volumes_of_instance on volumes (instance_id);

-- What the hypervisor last said of an instance: only the reconciler writes here.
create table instance_states (
    id uuid primary key not null,
    instance_id uuid not null unique references instances (id),
    vm_status text not null,
    uptime bigint not null,
    cpu_usage bigint not null,
    memory_usage_mb bigint not null,
    disk_usage_gb bigint not null,
    network_in_bytes bigint not null,
    network_out_bytes bigint not null,
    last_synced_at timestamptz not null,
    sync_source text not null
);

-- Which VPC an instance's interface is really in, as the network driver has done it (instances.vpc_id is what is
-- wanted).
create table network_attachments (
    instance_id uuid primary key not null references instances (id),
    vpc_id uuid not null references vpcs (id),
    attached_at timestamptz not null
);
