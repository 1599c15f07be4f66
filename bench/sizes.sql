-- What is measured: documents and their sizes.
SELECT format('%s documents, %s on average, %s at most, %s stored on average; the table has %s',
              count(enrichment), pg_size_pretty(avg(length(enrichment::text))),
              pg_size_pretty(max(length(enrichment::text))::bigint),
              pg_size_pretty(avg(pg_column_size(enrichment))),
              pg_size_pretty(pg_total_relation_size('session_summaries')))
FROM session_summaries;
