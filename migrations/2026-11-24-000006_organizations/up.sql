-- A deleted organization is out of reach at once, can be brought back until its grace is over, and is then emptied.
alter table organizations add column deleted_at timestamptz;
alter table organizations add column purged_at timestamptz;

-- When a module was last switched on, and by whom. Whether it is on stands in organizations.modules.
create table organization_modules (
    organization_id uuid not null references organizations (id),
    module text not null,
    enabled_at timestamptz not null,
    enabled_by uuid references users (id),
    primary key (organization_id, module)
);

-- The id of the membership, not of the user. Null in rows from before this migration: there the user's id stands
-- for it, which is as unique within an organization or project.
alter table memberships add column id uuid;
alter table memberships add column invited_by uuid references users (id);
alter table memberships add column modified timestamptz;

alter table project_members add column id uuid;
alter table project_members add column invited_by uuid references users (id);
alter table project_members add column modified timestamptz;

-- A deleted project keeps its row, under its id as a name: audit records and what was once in it refer to it.
alter table projects add column deleted_at timestamptz;

-- `expired` is written when another invitation takes the place of one whose time is over; until then a pending one
-- counts as expired by `expires_at`.
create table invitations (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    -- As it was written, and as it is compared (lower case).
    email text not null,
    email_key text not null,
    role text not null check (role in ('owner', 'editor', 'viewer', 'guest')),
    -- JSON array of {"project_id", "role"}.
    project_roles text not null,
    message text not null,
    status text not null check (status in ('pending', 'accepted', 'declined', 'revoked', 'expired')),
    -- Keyed hash of the link's secret.
    token_hash text not null unique,
    invited_by uuid references users (id),
    expires_at timestamptz not null,
    accepted_at timestamptz,
    last_sent_at timestamptz not null,
    created timestamptz not null,
    modified timestamptz not null
);
create unique index invitations_one_pending on invitations (organization_id, email_key) where status = 'pending';
create index invitations_of_organization on invitations (organization_id, created, id);
create index invitations_of_address on invitations (email_key, status);
