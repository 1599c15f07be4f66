-- Another floor: building the indexes that version 16 adds, on a migrated database.
SELECT format('REINDEX INDEX %s', indexrelid::regclass)
FROM pg_index
WHERE indrelid IN ('session_summaries'::regclass, 'asn_inventory'::regclass, 'ip_inventory'::regclass,
                   'ip_asn_history'::regclass)
  AND (indexrelid::regclass::text LIKE 'idx%' OR indrelid <> 'session_summaries'::regclass)
ORDER BY indexrelid \gexec
