-- Writes the keys, checks and indexes that version 16 adds as DDL, out of a migrated database.
SELECT ddl FROM (
  SELECT CASE c.contype WHEN 'p' THEN 1 WHEN 'c' THEN 2 ELSE 4 END AS place, c.conname AS name,
         format('ALTER TABLE %s ADD CONSTRAINT %I %s;', c.conrelid::regclass, c.conname,
                pg_get_constraintdef(c.oid)) AS ddl
  FROM pg_constraint AS c
  WHERE c.conrelid IN ('asn_inventory'::regclass, 'ip_inventory'::regclass, 'ip_asn_history'::regclass)
     OR c.conrelid = 'session_summaries'::regclass AND c.contype IN ('c', 'f')
  UNION ALL
  SELECT 3, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) || ';'
  FROM pg_index AS i
  WHERE i.indrelid IN ('asn_inventory'::regclass, 'ip_inventory'::regclass, 'ip_asn_history'::regclass,
                       'session_summaries'::regclass)
    AND NOT i.indisprimary AND i.indexrelid::regclass::text LIKE 'idx%') AS statements
ORDER BY place, name;
