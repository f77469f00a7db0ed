-- How an organization pays. Its row is locked by every transaction that moves money of the organization.
create table billing_accounts (
    organization_id uuid primary key not null references organizations (id),
    currency text not null,
    auto_pay boolean not null,
    use_credit_first boolean not null,
    auto_top_up_enabled boolean not null,
    auto_top_up_threshold bigint,
    auto_top_up_amount bigint,
    -- JSON array of addresses.
    invoice_emails text not null,
    purchase_order_reference text not null,
    invoice_language text not null,
    -- When the month's usage is to be invoiced; null without usage.
    wake_at timestamptz,
    created timestamptz not null,
    modified timestamptz not null
);
create index billing_accounts_due on billing_accounts (wake_at);

-- One event that moved money. Only ever inserted.
create table ledger_transactions (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    kind text not null,
    -- What customers see, where the credit balance moved: type, movement and the balance after it.
    movement text check (movement in ('top_up', 'payment', 'credit_applied', 'refund', 'adjustment', 'voucher')),
    credit_change bigint not null,
    credit_after bigint not null,
    currency text not null,
    invoice_id uuid,
    payment_id uuid,
    description text not null,
    created_by uuid,
    created timestamptz not null,
    check ((movement is null) = (credit_change = 0))
);
create index ledger_transactions_of_organization on ledger_transactions (organization_id, created, id);
create index ledger_transactions_of_invoice on ledger_transactions (invoice_id);

-- What a transaction moved, from the credited to the debited account: a row is balanced by itself. Only ever inserted.
create table ledger_entries (
    transaction_id uuid not null references ledger_transactions (id),
    position integer not null,
    organization_id uuid not null,
    debit text not null,
    credit text not null,
    amount bigint not null check (amount > 0),
    primary key (transaction_id, position),
    check (debit <> credit)
);
create index ledger_entries_of_organization on ledger_entries (organization_id);

-- Debits minus credits of each account, kept in the transaction of each entry.
create table ledger_balances (
    organization_id uuid not null references organizations (id),
    account text not null,
    balance bigint not null,
    primary key (organization_id, account)
);

create table invoices (
    id uuid primary key not null,
    legacy_id bigint not null unique,
    organization_id uuid not null references organizations (id),
    number text not null unique,
    type text not null check (type in ('order', 'renewal', 'usage', 'top_up', 'credit_note')),
    status text not null check (status in ('draft', 'unpaid', 'paid', 'overdue', 'cancelled', 'refunded')),
    currency text not null,
    subtotal bigint not null,
    tax_total bigint not null,
    total bigint not null,
    credit_applied bigint not null,
    amount_paid bigint not null,
    -- What credit notes have taken back of a paid invoice, taxes included.
    credited bigint not null,
    order_id uuid,
    -- The invoice that a credit note is about.
    credit_of uuid references invoices (id),
    -- JSON: both parties, the tax treatment and the purchase order, frozen at issue.
    parties text not null,
    issued_at timestamptz not null,
    due_at timestamptz not null,
    payable_until timestamptz not null,
    paid_at timestamptz,
    -- What the clock has done: 0 issued, 1 reminded, 2 overdue, 3 reminded again, 4 over; and when it comes next.
    stage integer not null,
    wake_at timestamptz,
    created timestamptz not null,
    modified timestamptz not null,
    check (total = subtotal + tax_total)
);
create index invoices_of_organization on invoices (organization_id, created, id);
create index invoices_due on invoices (wake_at);
create index invoices_of_order on invoices (order_id);
create index invoices_credited on invoices (credit_of);

create table invoice_lines (
    id uuid primary key not null,
    invoice_id uuid not null references invoices (id),
    position integer not null,
    description text not null,
    description_fr text not null,
    service_type text not null,
    -- The billed service, and the resource that it stands for.
    service_id uuid,
    resource_id uuid,
    project_id uuid,
    billing_cycle text,
    period_start timestamptz,
    period_end timestamptz,
    quantity bigint not null,
    unit_price bigint not null,
    discount bigint not null,
    tax_rate bigint not null,
    tax bigint not null,
    total bigint not null,
    unique (invoice_id, position)
);
create index invoice_lines_of_service on invoice_lines (service_id);

create table orders (
    id uuid primary key not null,
    legacy_id bigint not null unique,
    organization_id uuid not null references organizations (id),
    status text not null check (status in ('pending', 'processing', 'active', 'cancelled', 'failed', 'fraud_review')),
    currency text not null,
    total bigint not null,
    invoice_id uuid references invoices (id),
    -- Why it failed or was cancelled.
    reason text not null,
    created_by uuid references users (id),
    created timestamptz not null,
    modified timestamptz not null
);
create index orders_of_organization on orders (organization_id, created, id);

-- What is billed: a resource with its price and its clock.
create table services (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    project_id uuid not null,
    kind text not null,
    resource_id uuid not null,
    order_id uuid not null references orders (id),
    name text not null,
    name_fr text not null,
    status text not null
        check (status in ('pending', 'provisioning', 'active', 'suspended', 'terminated', 'cancelled')),
    billing_cycle text not null check (billing_cycle in ('free', 'one_time', 'hourly', 'monthly', 'quarterly',
        'semi_annually', 'annually', 'biennially', 'triennially')),
    -- For a cycle or an hour, without tax; and what hourly use costs at most in a month.
    price bigint not null,
    monthly_cap bigint,
    quantity bigint not null,
    -- JSON of the product's own.
    options text not null,
    -- What holds from the next period on.
    next_cycle text,
    next_price bigint,
    next_monthly_cap bigint,
    -- The first day of the first period, from whose day of month all others are counted; the present period.
    anchor timestamptz not null,
    period_start timestamptz not null,
    next_billing_date timestamptz,
    -- Hourly: since when use is not recorded yet; null while it is not used.
    used_from timestamptz,
    -- The invoice of the next period, if it has been made: when it is due, and whether it is paid.
    renewal_invoice_id uuid,
    renewal_due timestamptz,
    renewal_paid boolean not null,
    cancellation_requested_at timestamptz,
    cancellation_reason text not null,
    started_at timestamptz,
    ended_at timestamptz,
    suspended_at timestamptz,
    terminate_at timestamptz,
    wake_at timestamptz,
    created timestamptz not null,
    modified timestamptz not null
);
create index services_of_organization on services (organization_id, created, id);
create index services_of_order on services (order_id);
create index services_of_resource on services (kind, resource_id);
create index services_due on services (wake_at);

create table order_items (
    id uuid primary key not null,
    order_id uuid not null references orders (id),
    position integer not null,
    service_id uuid not null references services (id),
    description text not null,
    kind text not null,
    resource_id uuid not null,
    project_id uuid not null,
    billing_cycle text not null,
    quantity bigint not null,
    setup_fee bigint not null,
    price bigint not null,
    unique (order_id, position)
);

-- The periods that have been invoiced: the key is what keeps a period from being invoiced twice.
create table service_periods (
    service_id uuid not null references services (id),
    period_start timestamptz not null,
    period_end timestamptz not null,
    invoice_id uuid,
    primary key (service_id, period_start)
);

-- Hours used: recorded when a month or the use ends, invoiced once.
create table usage_records (
    service_id uuid not null references services (id),
    used_from timestamptz not null,
    used_to timestamptz not null,
    organization_id uuid not null references organizations (id),
    project_id uuid not null,
    -- Ten-thousandths of an hour, and of the price of an hour.
    hours bigint not null,
    unit_price bigint not null,
    amount bigint not null,
    invoice_id uuid references invoices (id),
    created timestamptz not null,
    primary key (service_id, used_from)
);
create index usage_records_of_organization on usage_records (organization_id, used_from);

create table payment_methods (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    driver text not null,
    type text not null check (type in ('card', 'paypal', 'sepa_debit')),
    label text not null,
    brand text,
    last4 text,
    exp_month integer,
    exp_year integer,
    paypal_email text,
    is_default boolean not null,
    -- The provider's name for it: worth nothing without the provider's key.
    reference text not null,
    -- Removed by its owner, kept for the payments made with it.
    removed_at timestamptz,
    created timestamptz not null,
    modified timestamptz not null
);
create index payment_methods_of_organization on payment_methods (organization_id, created);

create table payments (
    id uuid primary key not null,
    organization_id uuid not null references organizations (id),
    invoice_id uuid not null references invoices (id),
    payment_method_id uuid references payment_methods (id),
    driver text not null,
    amount bigint not null,
    currency text not null,
    status text not null check (status in ('pending', 'requires_action', 'succeeded', 'failed')),
    -- The provider's name for it.
    reference text,
    return_url text,
    redirect_url text,
    failure_reason text,
    created_by uuid,
    created timestamptz not null,
    modified timestamptz not null,
    unique (driver, reference)
);
create index payments_of_invoice on payments (invoice_id, status);
