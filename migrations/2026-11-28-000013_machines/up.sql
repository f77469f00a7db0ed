-- Hosts that run machines, and the machines on them.

create table hosts (
    id uuid primary key not null,
    -- What its node calls it (`compute.host_name`).
    name text not null unique,
    location_id uuid not null references locations (id),
    -- What it can promise: processors and memory with their overcommitment, disk. MB and GB as in sizes.
    cpus bigint not null,
    memory_mb bigint not null,
    disk_gb bigint not null,
    -- What has been promised to machines; changed only by one conditional update, so that the last place goes once.
    cpus_taken bigint not null check (cpus_taken >= 0),
    memory_mb_taken bigint not null check (memory_mb_taken >= 0),
    disk_gb_taken bigint not null check (disk_gb_taken >= 0),
    -- In maintenance it keeps its machines and takes no new ones.
    is_in_maintenance boolean not null,
    -- When its node last looked at its machines.
    last_seen_at timestamptz,
    created timestamptz not null,
    modified timestamptz not null
);
create index hosts_of_location on hosts (location_id);

-- What an instance is on a host. An instance without such a row is a record only: nothing runs for it.
create table machines (
    instance_id uuid primary key not null references instances (id),
    host_id uuid not null references hosts (id),
    -- What it holds of the host.
    cpus bigint not null,
    memory_mb bigint not null,
    disk_gb bigint not null,
    -- Whether it should run: the wish, of which instance_states tells what came of it.
    power text not null check (power in ('on', 'off')),
    -- Whether deleting is refused until the protection is taken away.
    is_protected boolean not null,
    -- The system that it boots from instead of its own disk.
    rescue_image_id uuid references images (id),
    -- The administrator's password as crypt(3) hashes it, and the customer's cloud-init document: sealed.
    password text,
    user_data text,
    -- What cloud-init calls the instance: another one makes it set everything up anew.
    seed_id uuid not null,
    -- The interface to the world, and the one in the VPC.
    interface_id uuid not null,
    mac_address text not null unique,
    private_interface_id uuid not null,
    private_mac_address text not null unique,
    created timestamptz not null,
    modified timestamptz not null
);
create index machines_of_host on machines (host_id, instance_id);

-- Add-ons that were ordered for an instance, each with a service of its own in billing.
create table instance_addons (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    project_id uuid not null references projects (id),
    instance_id uuid not null references instances (id),
    addon_id uuid not null references addons (id),
    -- `ended` ones are kept: what was used and paid can be told.
    status text not null check (status in ('pending', 'active', 'cancelling', 'ended')),
    billing_cycle text not null,
    price bigint not null,
    activated_at timestamptz,
    created timestamptz not null,
    modified timestamptz not null
);
create unique index instance_addons_live on instance_addons (instance_id, addon_id) where status <> 'ended';
