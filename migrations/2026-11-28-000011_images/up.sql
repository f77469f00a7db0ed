-- The file behind an image.
create table image_files (
    image_id uuid primary key not null references images (id),
    digest text,
    size_bytes bigint not null,
    virtual_size_bytes bigint not null,
    source_url text,
    expected_checksum text,
    status text not null,
    error text,
    progress bigint not null,
    created timestamptz not null,
    modified timestamptz not null
);
