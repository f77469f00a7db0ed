-- Console sessions: who may look at a machine's screen or sit at its serial console, for a short while.
create table console_sessions (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    project_id uuid not null references projects (id),
    instance_id uuid not null references instances (id),
    -- Who opened it and with what: asked again and again while it is connected.
    user_id uuid not null,
    credential_id uuid not null,
    console_type text not null check (console_type in ('novnc', 'serial')),
    -- Keyed hash of the token; null once it was used.
    token_hash text,
    status text not null check (status in ('pending', 'ready', 'connected', 'closed', 'expired')),
    -- Until when it must be connected to, and once it is, until when it may stay so.
    expires_at timestamptz not null,
    -- When the node that serves it last said so: one that died leaves it behind as connected.
    seen_at timestamptz,
    created timestamptz not null,
    closed_at timestamptz,
    -- Why it ended, once it has.
    ending text
);
create index console_sessions_of_instance on console_sessions (instance_id, status);
