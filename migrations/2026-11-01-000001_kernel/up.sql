-- Numbers that grow by one: legacy ids, the catalogue's version.
create table counters (
    name text primary key not null,
    value bigint not null
);

-- What happened, in the transaction in which it happened. Never updated.
create table audit_records (
    id uuid primary key not null,
    organization_id uuid,
    project_id uuid,
    actor_type text not null check (actor_type in ('user', 'api_key', 'project_token', 'system')),
    actor_id uuid,
    actor_name text not null,
    actor_email text,
    action text not null,
    resource_type text not null,
    resource_id uuid,
    resource_name text not null,
    status text not null check (status in ('success', 'failure')),
    description text not null,
    changes text not null,
    ip_address text,
    user_agent text not null,
    request_id uuid,
    created timestamptz not null
);
create index audit_records_of_organization on audit_records (organization_id, created, id);
create index audit_records_of_resource on audit_records (organization_id, resource_id, created);

-- Work that outlives a crash: see kernel::tasks.
create table tasks (
    id uuid primary key not null,
    kind text not null,
    organization_id uuid not null,
    project_id uuid not null,
    resource_type text not null,
    resource_id uuid not null,
    status text not null check (status in ('pending', 'running', 'completed', 'failed', 'cancelled')),
    -- Index of the step to run next (or to undo next), and whether the task is going back.
    step integer not null,
    step_name text not null,
    undoing boolean not null,
    progress integer not null,
    parameters text not null,
    -- What steps have noted for later steps and for their undoing.
    notes text not null,
    result text,
    error text,
    error_detail text,
    retry_count integer not null,
    max_retries integer not null,
    run_at timestamptz not null,
    lease_owner uuid,
    lease_until timestamptz,
    created_by uuid,
    request_id uuid,
    created timestamptz not null,
    modified timestamptz not null,
    started_at timestamptz,
    completed_at timestamptz
);
create index tasks_due on tasks (status, run_at);
create index tasks_of_resource on tasks (resource_id, created);
create index tasks_of_project on tasks (project_id, created, id);

-- Answers to writes with an Idempotency-Key, kept for a day.
create table idempotency_keys (
    owner uuid not null,
    idempotency_key text not null,
    fingerprint text not null,
    status integer not null,
    headers text not null,
    body text not null,
    created timestamptz not null,
    primary key (owner, idempotency_key)
);
create index idempotency_keys_by_age on idempotency_keys (created);
