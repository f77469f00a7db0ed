-- Copies of instances' disks. Each is a file on the host that the machine was on, by the same id.

-- Snapshots: kept beside the machine, and deleted with it.
create table snapshots (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    project_id uuid not null references projects (id),
    instance_id uuid not null references instances (id),
    host_id uuid not null references hosts (id),
    name text not null,
    description text not null,
    status text not null
        check (status in ('pending', 'creating', 'available', 'restoring', 'deleting', 'error')),
    -- The disk as it was when it was copied.
    volume_id uuid not null references volumes (id),
    disk_gb bigint not null,
    -- The system on it.
    image_id uuid not null,
    os_name text not null,
    -- What it takes of the host, once it is there.
    size_bytes bigint,
    -- The last task that worked on it.
    task_id uuid,
    error_message text not null,
    restored_at timestamptz,
    created timestamptz not null,
    modified timestamptz not null
);
create index snapshots_of_instance on snapshots (instance_id, created);
create index snapshots_of_project on snapshots (project_id, created);

-- Plans of recurring backups.
create table backup_schedules (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    project_id uuid not null references projects (id),
    instance_id uuid not null references instances (id),
    name text not null,
    frequency text not null check (frequency in ('daily', 'weekly', 'monthly')),
    -- The time of day in `timezone`: HH:MM:SS.
    run_at text not null,
    -- 0 is Monday.
    weekday bigint,
    day_of_month bigint,
    -- A name of the IANA time zone database.
    timezone text not null,
    retention_count bigint not null,
    retention_days bigint,
    is_active boolean not null,
    last_run_at timestamptz,
    last_backup_id uuid,
    last_status text not null check (last_status in ('never', 'success', 'failed', 'skipped')),
    -- Null while it is not active.
    next_run_at timestamptz,
    created timestamptz not null,
    modified timestamptz not null
);
create index backup_schedules_of_instance on backup_schedules (instance_id, created);
create index backup_schedules_due on backup_schedules (next_run_at);

-- Backups: whole copies, which outlive their instance for a while.
create table backups (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    project_id uuid not null references projects (id),
    instance_id uuid not null references instances (id),
    host_id uuid not null references hosts (id),
    -- The schedule that made it, even when that is gone.
    schedule_id uuid,
    name text not null,
    description text not null,
    backup_type text not null check (backup_type in ('manual', 'scheduled')),
    status text not null
        check (status in ('pending', 'running', 'available', 'restoring', 'deleting', 'expired', 'error')),
    is_protected boolean not null,
    -- When it is deleted by itself.
    expires_at timestamptz,
    -- The disk and the system on it, as they were.
    disk_gb bigint not null,
    image_id uuid not null,
    os_name text not null,
    -- What it takes of the host, once it is there.
    size_bytes bigint,
    started_at timestamptz,
    completed_at timestamptz,
    task_id uuid,
    error_message text not null,
    created timestamptz not null,
    modified timestamptz not null
);
create index backups_of_instance on backups (instance_id, created);
create index backups_of_project on backups (project_id, created);
create index backups_of_schedule on backups (schedule_id, created);
create index backups_by_expiry on backups (expires_at);
