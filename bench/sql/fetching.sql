-- The same without hashing: every document fetched, decompressed and looked at.
SET max_parallel_workers_per_gather = 0;
SELECT count(session_id) FILTER (WHERE enrichment::text < 'a'), max(first_event_at), max(last_event_at)
FROM session_summaries;
