-- The file behind an image, as hosts keep it. An image without a row here has none yet: it can be shown, not installed.
create table image_files (
    image_id uuid primary key not null references images (id),
    -- The project that a private image was made in; null for the operator's.
    project_id uuid,
    -- pending and importing: a task brings the file. deleted: nobody sees the image but the instances made from it.
    status text not null check (status in ('pending', 'importing', 'available', 'failed', 'deleted')),
    -- By which hosts know it: the SHA-256 of what was imported.
    digest text,
    size_bytes bigint,
    virtual_size_bytes bigint,
    source_url text,
    expected_checksum text,
    -- Why it failed, for customers.
    error text,
    -- Percent.
    progress bigint not null,
    created timestamptz not null,
    modified timestamptz not null
);
create index image_files_by_digest on image_files (digest);

-- Files that no image needs any more. They are removed when no disk builds on them.
create table image_leftovers (
    digest text primary key not null,
    -- From before the file is removed until this is known to be done or refused: no image may come to need it now.
    being_removed boolean not null,
    created timestamptz not null
);
