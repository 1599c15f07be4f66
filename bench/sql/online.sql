-- The whole migration in batches, beside an application that may go on writing (here none does).
SET client_min_messages = warning;
CALL cowrie_migrate_v16_online(batch_size => 10000);
