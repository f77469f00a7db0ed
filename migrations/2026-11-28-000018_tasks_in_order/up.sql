-- The next due tasks come out of the index in order: however many wait, only those are read that are taken.
drop index tasks_due;
create index tasks_due on tasks (status, run_at, id);
