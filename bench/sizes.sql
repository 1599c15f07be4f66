-- What is measured: documents and their sizes.
SELECT format('%s documents, %s bytes on average, %s at most, %s stored on average; the table has %s',
              count(enrichment), round(avg(length(enrichment::text))),
              max(length(enrichment::text)), round(avg(pg_column_size(enrichment))),
              pg_size_pretty(pg_total_relation_size('session_summaries')))
FROM session_summaries;
