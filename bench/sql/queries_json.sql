-- Three questions of an analyst to a version 15 database, by the documents.
SELECT count(*) FROM session_summaries
WHERE COALESCE(enrichment #>> '{maxmind,country}', enrichment #>> '{cymru,country}',
               enrichment #>> '{dshield,ip,ascountry}') = 'DE'
  AND first_event_at >= '2024-06-01 00:00Z' AND first_event_at < '2024-07-01 00:00Z';
SELECT COALESCE(enrichment #>> '{maxmind,country}', enrichment #>> '{cymru,country}',
                enrichment #>> '{dshield,ip,ascountry}') AS country,
       COALESCE(enrichment #>> '{spur,client,types,0}', enrichment #>> '{spur,3}') AS type, count(*)
FROM session_summaries GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20;
SELECT COALESCE(enrichment #>> '{maxmind,asn}', enrichment #>> '{cymru,asn}',
                enrichment #>> '{dshield,ip,asn}') AS asn, count(*)
FROM session_summaries GROUP BY 1 ORDER BY 2 DESC LIMIT 100;
