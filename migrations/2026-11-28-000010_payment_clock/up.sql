-- When the provider is asked again what became of an open payment; null: it is not, or a task is about to.
alter table payments add column wake_at timestamptz;
create index payments_due on payments (wake_at);
