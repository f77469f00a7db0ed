-- Ranges of public addresses that instances of a location get theirs from.
create table address_pools (
    id uuid primary key not null,
    location_id uuid not null references locations (id),
    family text not null check (family in ('ipv4', 'ipv6')),
    -- Which addresses of instances it is for: their first ones, further ones, or both.
    purpose text not null check (purpose in ('any', 'primary', 'additional')),
    cidr text not null unique,
    gateway text not null,
    vlan bigint,
    first_usable text not null,
    last_usable text not null,
    -- Addresses from the first to the last usable one, the gateway counted where it lies between them.
    capacity bigint not null,
    -- How many of them, from the first on, have been taken at least once: the rest was never anybody's.
    handed_out bigint not null,
    -- How long a released address rests.
    quarantine_seconds bigint not null,
    is_active boolean not null,
    created timestamptz not null,
    modified timestamptz not null,
    check (handed_out <= capacity)
);
create index address_pools_of_location on address_pools (location_id, family, created, id);

-- Addresses that were somebody's and are nobody's now, by their distance from the pool's first usable one. Rows of
-- `ip_addresses` are in use, all of them: its unique column is what keeps two instances from having one address.
create table released_addresses (
    pool_id uuid not null references address_pools (id),
    position bigint not null,
    free_at timestamptz not null,
    primary key (pool_id, position)
);
create index released_addresses_due on released_addresses (pool_id, free_at, position);

-- `ip_addresses.network_id` names the pool of an address that came from one.
create index ip_addresses_of_network on ip_addresses (network_id);
create index ip_addresses_of_project on ip_addresses (project_id, created, id);

-- The hardware addresses of instances' interfaces.
create table instance_interfaces (
    instance_id uuid not null references instances (id),
    interface bigint not null,
    mac_address text not null unique,
    primary key (instance_id, interface)
);

-- What the recording network driver was told last: the addresses that an instance's interfaces have.
create table configured_addresses (
    instance_id uuid not null references instances (id),
    address text not null,
    primary key (instance_id, address)
);

-- What DNS would be told, as recorded until there is an area that serves zones.
create table reverse_names (
    address text primary key not null,
    name text not null,
    set_at timestamptz not null
);

-- Public keys of a project, to be placed on its instances.
create table ssh_keys (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    project_id uuid not null references projects (id),
    name text not null,
    -- One line: type, base64, comment.
    public_key text not null,
    -- SHA256:…, as ssh-keygen -l prints it.
    fingerprint text not null,
    key_type text not null,
    created_by uuid,
    created timestamptz not null,
    modified timestamptz not null
);
create unique index ssh_keys_once_a_project on ssh_keys (project_id, fingerprint);
create index ssh_keys_of_project on ssh_keys (project_id, created, id);

-- The keys that an instance is to carry. A copy: a key that the project forgets stays on its instances.
create table instance_ssh_keys (
    instance_id uuid not null references instances (id),
    ssh_key_id uuid not null,
    name text not null,
    public_key text not null,
    fingerprint text not null,
    added_at timestamptz not null,
    primary key (instance_id, ssh_key_id)
);
create index instance_ssh_keys_of_key on instance_ssh_keys (ssh_key_id);

-- What the recording guest driver was told last: the lines of authorized_keys, in order.
create table guest_ssh_keys (
    instance_id uuid not null references instances (id),
    position bigint not null,
    public_key text not null,
    primary key (instance_id, position)
);
