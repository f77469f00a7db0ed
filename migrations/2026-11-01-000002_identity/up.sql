create table users (
    id uuid primary key not null,
    legacy_id bigint not null unique,
    -- As the user wrote it, and as it is compared (lower case).
    email text not null,
    email_key text not null unique,
    email_verified boolean not null,
    password_hash text,
    first_name text not null,
    last_name text not null,
    phone text not null,
    company_name text not null,
    language text not null check (language in ('en', 'fr')),
    timezone text not null,
    marketing_consent boolean not null,
    is_active boolean not null,
    is_staff boolean not null,
    last_login timestamptz,
    created timestamptz not null,
    modified timestamptz not null
);

create table organizations (
    id uuid primary key not null,
    legacy_id bigint not null unique,
    name text not null,
    -- JSON array of module names.
    modules text not null,
    organization_type text not null check (organization_type in ('personal', 'professional')),
    support_plan text not null check (support_plan in ('basic', 'advanced', 'business')),
    user_quota bigint not null,
    project_quota bigint not null,
    instance_quota bigint not null,
    domain_quota bigint not null,
    logo text not null,
    company_name text not null,
    address_1 text not null,
    address_2 text not null,
    city text not null,
    state text not null,
    postcode text not null,
    country text not null,
    phone text not null,
    vat_number text not null,
    is_active boolean not null,
    created timestamptz not null,
    modified timestamptz not null
);

create table memberships (
    organization_id uuid not null references organizations (id),
    user_id uuid not null references users (id),
    role text not null check (role in ('owner', 'editor', 'viewer', 'guest')),
    created timestamptz not null,
    primary key (organization_id, user_id)
);
create index memberships_of_user on memberships (user_id);

create table projects (
    id uuid primary key not null,
    legacy_id bigint not null unique,
    organization_id uuid not null references organizations (id),
    name text not null,
    description text not null,
    environment text not null check (environment in ('production', 'staging', 'development', 'other')),
    color text not null,
    tags text not null,
    is_default boolean not null,
    is_active boolean not null,
    created_by uuid references users (id),
    created timestamptz not null,
    modified timestamptz not null,
    unique (organization_id, name)
);

-- A guest's projects; for other members, what narrows their role in a project.
create table project_members (
    project_id uuid not null references projects (id),
    user_id uuid not null references users (id),
    role text not null check (role in ('owner', 'editor', 'viewer')),
    created timestamptz not null,
    primary key (project_id, user_id)
);
create index project_members_of_user on project_members (user_id);

-- Everything that can stand behind a bearer token: a login's session (named by the JWT's `sid`), an API key, a
-- project token (both found by the hash of their secret).
create table credentials (
    id uuid primary key not null,
    kind text not null check (kind in ('session', 'api_key', 'project_token')),
    user_id uuid not null references users (id),
    name text not null,
    prefix text not null,
    secret_hash text unique,
    -- JSON array; a session has them all.
    scopes text not null,
    organization_id uuid references organizations (id),
    project_id uuid references projects (id),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    last_used_ip text,
    user_agent text not null,
    created timestamptz not null,
    modified timestamptz not null
);
create index credentials_of_user on credentials (user_id, kind, created);

-- One row a refresh token ever given out in a session that still lives: a used one that comes back ends the session.
create table refresh_tokens (
    token_hash text primary key not null,
    session_id uuid not null references credentials (id),
    expires_at timestamptz not null,
    used_at timestamptz,
    created timestamptz not null
);
create index refresh_tokens_of_session on refresh_tokens (session_id);
