-- Additional addresses that have a price: ordered, and given to their instance once they are paid. Until then their row
-- of `ip_addresses` names no instance: nobody has the address, and nobody else can get it.
create table priced_addresses (
    address_id uuid primary key not null references ip_addresses (id),
    instance_id uuid not null references instances (id),
    -- The name that was ordered with it.
    reverse_dns text not null,
    -- Who ordered it, and with which request: the task that gives it to the guest is theirs.
    user_id uuid not null,
    request_id uuid not null,
    -- That task; none as long as the order is not paid.
    task_id uuid
);
create index priced_addresses_of_instance on priced_addresses (instance_id);
