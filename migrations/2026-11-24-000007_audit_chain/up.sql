-- What onet wrote, as a keyed hash of the record that is made with it; empty where none was made. See
-- docs/decisions/0022-audit-chain.md.
alter table audit_records add column seal text not null default '';

-- The records of a chain (an organization's, or those of no organization: the nil UUID) in the order in which they were
-- chained, each with a keyed hash over it and its predecessor's hash.
create table audit_links (
    chain uuid not null,
    sequence bigint not null,
    record_id uuid not null unique,
    -- Whether the record was as onet wrote it when it was chained.
    is_sound boolean not null,
    hash text not null,
    primary key (chain, sequence)
);

-- Where a chain ends, and where it begins since older records were forgotten; the seal is a keyed hash of the row.
create table audit_heads (
    chain uuid primary key not null,
    sequence bigint not null,
    hash text not null,
    anchor_sequence bigint not null,
    anchor_hash text not null,
    last_created timestamptz not null,
    seal text not null
);

-- For the filters of the list and the export.
create index audit_records_of_actor on audit_records (organization_id, actor_id, created, id);
create index audit_records_of_action on audit_records (organization_id, action, created, id);
create index audit_records_of_project on audit_records (organization_id, project_id, created, id);
