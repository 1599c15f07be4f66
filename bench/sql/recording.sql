-- What the rewrite records beside, by the code that it does so with: every document fetched and hashed,
-- as text and as it is stored.
SET max_parallel_workers_per_gather = 0;
SELECT (cowrie_migrate_internal.cowrie_fingerprint(session_id, enrichment, first_event_at, last_event_at, true)).documents,
       (cowrie_migrate_internal.cowrie_kept_fingerprint(session_id, enrichment, first_event_at, last_event_at, true)).documents
FROM session_summaries;
