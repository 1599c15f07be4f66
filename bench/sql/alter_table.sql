-- The same, all rows and documents rewritten by ALTER TABLE.
SET client_min_messages = warning;
SET cowrie_migrate.rewrite = alter_table;
SELECT count(*) FROM cowrie_migrate_v16();
