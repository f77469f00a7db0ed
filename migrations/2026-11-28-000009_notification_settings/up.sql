-- What an organization is told of, and where. No row: everything as it begins.
create table notification_settings (
    organization_id uuid primary key not null references organizations (id),
    email_enabled boolean not null,
    -- JSON array of addresses besides the owners.
    recipients text not null,
    -- JSON array of the switches that are off: those of a later release are on.
    switched_off text not null,
    -- In ten-thousandths; null for no warning.
    low_balance_threshold bigint,
    modified timestamptz not null
);

-- What has happened in an organization and is to be told: written in the transaction of the change, told by a task.
create table notices (
    id uuid primary key not null,
    -- No reference: checking it would make each change that is told wait for whoever holds the organization's lock.
    organization_id uuid not null,
    -- The event's slug.
    event text not null,
    -- The switch of the settings that decides on it.
    switch text,
    -- JSON object: what webhooks carry and sentences say.
    facts text not null,
    -- JSON object: the values of the event's own letter, if it has one.
    letter text,
    -- JSON: {"addresses": […] or null, "language": "en" or null, "except": [user ids]}.
    audience text not null,
    -- 'held' waits for a digest.
    state text not null check (state in ('new', 'held', 'told')),
    created timestamptz not null
);
create index notices_of_event on notices (organization_id, event, created, id);
create index notices_to_tell on notices (organization_id, state, created);
create index notices_by_age on notices (created);

create table notification_webhooks (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    url text not null,
    description text not null,
    -- JSON array of slugs and patterns such as "invoice.*"; empty for every event.
    events text not null,
    is_enabled boolean not null,
    -- Why onet has switched it off; empty if a person did, or it is on.
    disabled_reason text not null,
    -- Sealed. The former one signs too, for a while after a rotation.
    secret text not null,
    former_secret text,
    former_until timestamptz,
    -- Since when nothing was taken.
    failing_since timestamptz,
    created timestamptz not null,
    modified timestamptz not null
);
create index notification_webhooks_of_organization on notification_webhooks (organization_id, created, id);

create table webhook_deliveries (
    id uuid primary key not null,
    organization_id uuid not null,
    webhook_id uuid not null references notification_webhooks (id),
    event text not null,
    -- The body, byte by byte, since it is signed.
    payload text not null,
    status text not null check (status in ('pending', 'delivered', 'failed')),
    attempts integer not null,
    next_attempt_at timestamptz,
    -- Of the last attempt.
    response_status integer,
    error text not null,
    delivered_at timestamptz,
    created timestamptz not null,
    modified timestamptz not null
);
create index webhook_deliveries_of_webhook on webhook_deliveries (webhook_id, created, id);
create index webhook_deliveries_by_age on webhook_deliveries (created);
