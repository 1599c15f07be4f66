-- The whole migration in one transaction, with all verification and the zero-loss gate.
SET client_min_messages = warning;
SELECT count(*) FROM cowrie_migrate_v16();
