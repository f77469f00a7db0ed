-- VPCs that were deleted: instances that are over still name them.
alter table vpcs add column deleted_at timestamptz;

-- Ranges of VPCs that members get their addresses from.
create table vpc_subnets (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    vpc_id uuid not null references vpcs (id),
    name text not null,
    cidr_block text not null,
    -- Null: the first usable address. Nobody gets it.
    gateway text,
    dhcp_enabled boolean not null,
    dns_servers text not null,
    is_active boolean not null,
    created timestamptz not null,
    modified timestamptz not null
);
create index vpc_subnets_of_vpc on vpc_subnets (vpc_id, created);

-- Every VPC has a first subnet with its whole block.
insert into vpc_subnets (id, organization_id, vpc_id, name, cidr_block, gateway, dhcp_enabled, dns_servers, is_active, created,
    modified)
select id, organization_id, id, 'default', cidr_block, null, true, '[]', true, created, modified from vpcs;

-- Which instance has which address in a VPC. One that moves has one in each until it has arrived.
create table private_addresses (
    id uuid primary key not null,
    vpc_id uuid not null references vpcs (id),
    subnet_id uuid not null references vpc_subnets (id),
    instance_id uuid not null references instances (id),
    address text not null,
    -- Counted from the subnet's first usable address.
    position bigint not null,
    created timestamptz not null
);
create unique index private_addresses_once on private_addresses (subnet_id, position);
create unique index private_addresses_of_instance on private_addresses (instance_id, vpc_id);
