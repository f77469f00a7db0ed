-- What the reconciler keeps of machines, and what they have used.
--
-- Neither table refers to instances by a foreign key: checking one locks the instance's row on PostgreSQL, and a round
-- that holds its host would wait there for an action that waits for the host.

-- What was seen of a machine at the last look, as far as the next look needs it.
create table machine_watches (
    instance_id uuid primary key not null,
    -- What it had used since its power came on. All are 0 while it is off: the next run begins there.
    uptime_ms bigint not null,
    cpu_ms bigint not null,
    disk_read_bytes bigint not null,
    disk_write_bytes bigint not null,
    network_in_bytes bigint not null,
    network_out_bytes bigint not null,
    -- Begin of the first minute whose samples have not reached the coarser series (seconds since 1970).
    unrolled_from bigint,
    -- Begin of the month that instances.bandwidth_used_gb is about, and of the last one in which the quota was said to
    -- be reached (seconds since 1970).
    bandwidth_month bigint not null,
    quota_told_month bigint not null,
    -- How often it was started again within an hour that began at first_restart_at, and when it was last.
    restarts bigint not null,
    first_restart_at timestamptz,
    last_restart_at timestamptz
);

-- What machines have used: a row an instance, a series and a slot of time.
create table metric_points (
    instance_id uuid not null,
    -- Length of the series' slots, seconds: 60, 300, 3600, 86400.
    step bigint not null,
    -- Begin of the slot, seconds since 1970; a multiple of step.
    slot bigint not null,
    -- How often it was looked at, and what was seen then: hundredths of a percent of all its processors, MB.
    samples bigint not null,
    cpu_sum bigint not null,
    cpu_max bigint not null,
    memory_sum bigint not null,
    memory_max bigint not null,
    -- What went through in the slot. Null: the connection does not count.
    disk_read_bytes bigint not null,
    disk_write_bytes bigint not null,
    network_in_bytes bigint,
    network_out_bytes bigint,
    primary key (instance_id, step, slot)
);
-- For forgetting.
create index metric_points_by_age on metric_points (step, slot);
