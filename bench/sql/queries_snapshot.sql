-- The same three questions to version 16.
SELECT count(*) FROM session_summaries
WHERE snapshot_country = 'DE'
  AND first_event_at >= '2024-06-01 00:00Z' AND first_event_at < '2024-07-01 00:00Z';
SELECT snapshot_country, snapshot_ip_type, count(*)
FROM session_summaries GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20;
SELECT asn_number, total_session_count
FROM asn_inventory ORDER BY total_session_count DESC LIMIT 100;
