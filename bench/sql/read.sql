-- Another floor: fetching and decompressing every document once, in one process.
SET max_parallel_workers_per_gather = 0;
SELECT sum(length(enrichment::text)) FROM session_summaries;
