-- What tasks of instances are to make true and what was there before, field by field: a task that fails or is
-- withdrawn leaves everything as if it had never been asked for, whatever was asked for after it.
create table instance_wishes (
    task_id uuid not null,
    instance_id uuid not null references instances (id),
    -- A column of `instances` or `machines`.
    field text not null,
    -- Its value before and after, as text; secrets as they are sealed in their column.
    value_before text,
    value_after text,
    primary key (task_id, field)
);
create index instance_wishes_of_instance on instance_wishes (instance_id, field);

-- Secrets that a task has made up, sealed, for who asked for the task, until they are read once.
create table task_secrets (
    task_id uuid primary key not null,
    user_id uuid not null,
    sealed text not null,
    expires timestamptz not null
);
create index task_secrets_by_age on task_secrets (expires);

-- Changes of size: ordered, carried out, done, or come to nothing. Kept.
create table instance_resizes (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    project_id uuid not null references projects (id),
    instance_id uuid not null references instances (id),
    status text not null check (status in ('ordered', 'running', 'done', 'dropped')),
    size_id uuid not null references sizes (id),
    cpus bigint not null,
    memory_mb bigint not null,
    disk_gb bigint not null,
    previous_cpus bigint not null,
    previous_memory_mb bigint not null,
    previous_disk_gb bigint not null,
    -- What invoices call the instance from then on.
    description text not null,
    -- Its price for the present cycle, and what hourly use costs at most in a month.
    price bigint not null,
    monthly_cap bigint,
    -- Another cycle from the next period on, with its price.
    next_cycle text,
    next_price bigint,
    next_monthly_cap bigint,
    -- What the order charges for the rest of the paid time, without tax; nothing for what is not dearer.
    paid bigint not null,
    -- The task that carries it out, once it is paid.
    task_id uuid,
    user_id uuid,
    request_id uuid,
    created timestamptz not null,
    modified timestamptz not null
);
-- One at a time.
create unique index instance_resizes_live on instance_resizes (instance_id) where status in ('ordered', 'running');
create index instance_resizes_of_task on instance_resizes (task_id);

-- The password of the rescue system, hashed and sealed: the machine's own stays what it is.
alter table machines add column rescue_password text;
