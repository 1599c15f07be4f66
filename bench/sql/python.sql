-- What the application's own migration does, as plain SQL statements in its order: UPDATE of the
-- source IPs, inventories by DISTINCT ON over whole documents, a temporary table of snapshots, a
-- second UPDATE. Written anew from a description; it knows only clean values.
--
-- psql variables: tables and keys, files with DDL out of a migrated database.

ALTER TABLE session_summaries ADD COLUMN source_ip varchar(45), ADD COLUMN enrichment_at timestamptz,
  ADD COLUMN snapshot_asn integer, ADD COLUMN snapshot_country varchar(2),
  ADD COLUMN snapshot_ip_type text;
CREATE FUNCTION first_key(json) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT k FROM json_object_keys($1) AS k LIMIT 1 $$;

UPDATE session_summaries SET source_ip = COALESCE(
  enrichment -> 'session_metadata' ->> 'source_ip', enrichment -> 'dshield' -> 'ip' ->> 'number',
  first_key(CASE json_typeof(enrichment -> 'session') WHEN 'object' THEN enrichment -> 'session' END))
WHERE json_typeof(enrichment) = 'object';
UPDATE session_summaries AS s SET source_ip = e.src_ip
FROM (SELECT DISTINCT ON (session_id) session_id, payload ->> 'src_ip' AS src_ip FROM raw_events
      WHERE event_type = 'cowrie.session.connect' ORDER BY session_id, event_timestamp, id) AS e
WHERE e.session_id = s.session_id AND s.source_ip IS NULL;

\i :tables
CREATE VIEW provider_values AS
SELECT session_id, source_ip, enrichment, first_event_at AS started, last_event_at AS ended,
       COALESCE(enrichment -> 'maxmind' ->> 'asn', enrichment -> 'cymru' ->> 'asn',
                enrichment -> 'dshield' -> 'ip' ->> 'asn',
                enrichment -> 'session' -> source_ip -> 'dshield' -> 'ip' ->> 'asn')::integer AS asn
FROM session_summaries WHERE json_typeof(enrichment) = 'object';

INSERT INTO asn_inventory (asn_number, organization_name, organization_country, rir_registry,
                           first_seen, last_seen, unique_ip_count, total_session_count, enrichment)
SELECT asn, COALESCE(l.enrichment -> 'maxmind' ->> 'asn_org', l.enrichment -> 'cymru' ->> 'asn_org',
                     l.enrichment -> 'dshield' -> 'ip' ->> 'asname'),
       COALESCE(l.enrichment -> 'dshield' -> 'ip' ->> 'ascountry', l.enrichment -> 'cymru' ->> 'country'),
       upper(l.enrichment -> 'cymru' ->> 'registry'), g.first_seen, g.last_seen, g.ips, g.sessions,
       COALESCE(jsonb_build_object('maxmind', l.enrichment -> 'maxmind', 'cymru', l.enrichment -> 'cymru'), '{}')
FROM (SELECT asn, min(started) AS first_seen, max(ended) AS last_seen,
             count(DISTINCT source_ip) AS ips, count(*) AS sessions
      FROM provider_values WHERE asn IS NOT NULL GROUP BY asn) AS g
JOIN (SELECT DISTINCT ON (asn) asn, enrichment FROM provider_values WHERE asn IS NOT NULL
      ORDER BY asn, ended DESC) AS l USING (asn);

INSERT INTO ip_inventory (ip_address, current_asn, first_seen, last_seen, session_count, enrichment)
SELECT source_ip, l.asn, g.first_seen, g.last_seen, g.sessions, COALESCE(l.enrichment::jsonb, '{}')
FROM (SELECT source_ip, min(first_event_at) AS first_seen, max(last_event_at) AS last_seen,
             count(*) AS sessions
      FROM session_summaries WHERE source_ip IS NOT NULL GROUP BY source_ip) AS g
LEFT JOIN (SELECT DISTINCT ON (source_ip) source_ip, asn, enrichment FROM provider_values
           WHERE source_ip IS NOT NULL ORDER BY source_ip, ended DESC) AS l USING (source_ip);

INSERT INTO ip_asn_history (ip_address, asn_number, observed_at)
SELECT source_ip, asn, min(started) FROM provider_values
WHERE source_ip IS NOT NULL AND asn IS NOT NULL GROUP BY source_ip, asn;

CREATE TEMPORARY TABLE snapshots AS
SELECT session_id, COALESCE((enrichment ->> 'enriched_at')::timestamptz, ended) AS enrichment_at, asn,
       upper(COALESCE(enrichment -> 'maxmind' ->> 'country', enrichment -> 'cymru' ->> 'country',
             enrichment -> 'dshield' -> 'ip' ->> 'ascountry',
             enrichment -> 'session' -> source_ip -> 'dshield' -> 'ip' ->> 'ascountry')) AS country,
       COALESCE(enrichment -> 'spur' -> 'client' -> 'types' ->> 0, enrichment -> 'spur' ->> 3,
                enrichment -> 'session' -> source_ip -> 'spur' -> 'client' -> 'types' ->> 0) AS ip_type
FROM provider_values;
CREATE INDEX ON snapshots (session_id);
UPDATE session_summaries AS s
SET enrichment_at = n.enrichment_at, snapshot_asn = n.asn, snapshot_country = n.country,
    snapshot_ip_type = n.ip_type
FROM snapshots AS n WHERE n.session_id = s.session_id;

DROP TABLE snapshots;
DROP VIEW provider_values;
DROP FUNCTION first_key;
\i :keys
ANALYZE session_summaries, asn_inventory, ip_inventory, ip_asn_history;
UPDATE schema_state SET value = '16' WHERE key = 'schema_version';
