-- Where a user's account stands besides its password.
-- An address that waits for confirmation; `challenges` holds the proof that is asked for.
alter table users add column pending_email text;
alter table users add column default_organization_id uuid;
alter table users add column default_project_id uuid;
-- The second factor that a login offers first.
alter table users add column mfa_default text;
-- The row of `user_pictures`.
alter table users add column picture_id uuid;
-- When the account ends for good, after its user has asked for that; a login before that time keeps it.
alter table users add column deletion_at timestamptz;
-- When it did: nothing personal is left in the row.
alter table users add column deleted_at timestamptz;

-- How a session was opened, and when its user last proved who they are (a login, `reauthenticate`).
alter table credentials add column auth_method text;
alter table credentials add column mfa_method text;
alter table credentials add column authenticated_at timestamptz;
alter table credentials add column trusted_device_id uuid;
-- JSON array of addresses and networks from which a key may be used; empty: from anywhere.
alter table credentials add column allowed_ips text not null default '[]';
-- After a rotation the former secret works until this time.
alter table credentials add column previous_hash text;
alter table credentials add column previous_until timestamptz;
create unique index credentials_by_previous_hash on credentials (previous_hash);

-- Proofs that were asked for and have not been given yet: mailed codes and links, the token between the two steps of a
-- login, the state of an OAuth login, a passkey's challenge. Each works once.
create table challenges (
    id uuid primary key not null,
    purpose text not null,
    -- Nobody's where an unknown address asked: the answers must not differ.
    user_id uuid references users (id),
    -- The address that it was mailed to, as it is compared.
    email_key text,
    -- Keyed hashes of the link's token and of the code.
    token_hash text unique,
    code_hash text,
    -- Wrong codes so far.
    attempts integer not null,
    -- JSON that the purpose needs; sealed where it holds a secret.
    payload text not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    created timestamptz not null
);
create index challenges_of_user on challenges (user_id, purpose, created);
create index challenges_of_address on challenges (email_key, purpose, created);
create index challenges_by_end on challenges (expires_at);

-- What happened to an account's safety, as its user sees it. The audit log has the same from the operator's side.
create table security_events (
    id uuid primary key not null,
    user_id uuid not null references users (id),
    event text not null,
    ip_address text,
    user_agent text not null,
    session_id uuid,
    -- JSON object; never a secret.
    metadata text not null,
    created timestamptz not null
);
create index security_events_of_user on security_events (user_id, created, id);
create index security_events_of_kind on security_events (user_id, event, created, id);

-- Second factors other than passkeys: the authenticator app (with its secret, sealed) and codes by mail.
create table mfa_methods (
    user_id uuid not null references users (id),
    method text not null check (method in ('totp', 'email')),
    -- Null while it waits for its first code.
    enabled_at timestamptz,
    -- Sealed; of `totp` only.
    secret text,
    -- The last time step whose code was taken: a code works once (RFC 6238, section 5.2).
    last_step bigint not null,
    -- An unconfirmed secret is forgotten after this time.
    pending_until timestamptz,
    last_used_at timestamptz,
    created timestamptz not null,
    primary key (user_id, method)
);

create table recovery_codes (
    code_hash text primary key not null,
    user_id uuid not null references users (id),
    used_at timestamptz,
    created timestamptz not null
);
create index recovery_codes_of_user on recovery_codes (user_id);

-- Passkeys and security keys (WebAuthn).
create table webauthn_credentials (
    id uuid primary key not null,
    user_id uuid not null references users (id),
    name text not null,
    -- The authenticator's own id, base64url.
    credential_id text not null unique,
    -- Public key, counter and flags, as JSON.
    credential text not null,
    aaguid uuid,
    -- JSON array.
    transports text not null,
    is_passkey boolean not null,
    is_backed_up boolean not null,
    last_used_at timestamptz,
    created timestamptz not null,
    modified timestamptz not null
);
create index webauthn_credentials_of_user on webauthn_credentials (user_id, created);

-- Devices on which the second factor is skipped for a while.
create table trusted_devices (
    id uuid primary key not null,
    user_id uuid not null references users (id),
    token_hash text not null unique,
    name text not null,
    user_agent text not null,
    ip_address text not null,
    last_used_at timestamptz,
    expires_at timestamptz not null,
    created timestamptz not null
);
create index trusted_devices_of_user on trusted_devices (user_id, created);

-- Accounts at identity providers, keyed by the provider's issuer and its subject: addresses change hands.
create table oauth_connections (
    id uuid primary key not null,
    user_id uuid not null references users (id),
    provider text not null,
    issuer text not null,
    subject text not null,
    email text,
    display_name text,
    last_used_at timestamptz,
    created timestamptz not null,
    unique (issuer, subject)
);
create index oauth_connections_of_user on oauth_connections (user_id, created);

-- What a user wants to be told, and how.
create table notification_preferences (
    user_id uuid primary key not null references users (id),
    email_enabled boolean not null,
    digest text not null check (digest in ('immediate', 'daily', 'weekly')),
    -- JSON: {"event": {"email": true, "in_app": false}}, as far as it differs from the defaults.
    preferences text not null,
    modified timestamptz not null
);

-- Encoded anew by onet: never the bytes that were uploaded.
create table user_pictures (
    id uuid primary key not null,
    user_id uuid not null unique references users (id),
    media_type text not null,
    -- Base64.
    data text not null,
    created timestamptz not null
);

-- Generations of the key that signs access tokens; the keys themselves are derived from the master secret.
create table signing_keys (
    generation bigint primary key not null,
    created timestamptz not null,
    -- From then on its tokens are refused.
    retired_at timestamptz
);
