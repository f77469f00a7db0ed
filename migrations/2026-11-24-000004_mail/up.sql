-- Mails to be sent, and what became of them: see kernel::mail.
create table mails (
    id uuid primary key not null,
    to_address text not null,
    language text not null,
    template text not null,
    -- Subject and both parts, sealed, since they hold links and codes. Erased when the mail is sent or given up.
    content text,
    -- The same at every attempt, so that a mailbox can tell a repetition.
    message_id text not null,
    status text not null check (status in ('pending', 'sent', 'failed')),
    attempts integer not null,
    -- Why the last attempt failed.
    error text,
    created timestamptz not null,
    modified timestamptz not null,
    sent_at timestamptz
);
create index mails_by_age on mails (created);
create index mails_of_address on mails (to_address, created);
