-- The whole migration, from version 15 to the raised version, in its one transaction.
SET client_min_messages = warning;
SELECT count(*) FROM cowrie_migrate_v16();
