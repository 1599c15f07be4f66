-- What the proof is made of, as the scan of the gate does: every document fetched and hashed.
SET max_parallel_workers_per_gather = 0;
SELECT (cowrie_fingerprint(session_id, enrichment, first_event_at, last_event_at, true)).documents
FROM session_summaries;
