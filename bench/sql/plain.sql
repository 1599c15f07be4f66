-- The same columns and tables by the best plain SQL there is: a parallel CREATE TABLE AS reads each
-- document once; one rewriting ALTER TABLE would need a subquery, so a second CREATE TABLE AS joins
-- the result to the sessions, and the new table takes the place of the old one; inventories are
-- aggregated from narrow rows. It knows only clean values: no judging, no counting,
-- no verification, no proof. What depends on the old table would be lost, its grants as well.
--
-- psql variables: tables and keys, files with the DDL of the inventories, of their keys and indexes
-- and of those of the sessions, out of a migrated database.

BEGIN;
LOCK TABLE session_summaries IN ACCESS EXCLUSIVE MODE;
-- The planner does not know what reading a document costs.
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;

CREATE UNLOGGED TABLE facts AS
SELECT s.session_id,
       COALESCE(d.session_metadata ->> 'source_ip', d.dshield #>> '{ip,number}', entry.key) AS source_ip,
       COALESCE(s.first_event_at, s.last_event_at, s.created_at) AS started,
       COALESCE(s.last_event_at, s.first_event_at, s.created_at) AS ended,
       CASE WHEN json_typeof(s.enrichment) = 'object'
            THEN COALESCE(d.enriched_at, s.created_at, s.last_event_at) END AS enriched_at,
       COALESCE(d.maxmind ->> 'asn', e.maxmind ->> 'asn', d.cymru ->> 'asn', e.cymru ->> 'asn',
                d.dshield #>> '{ip,asn}', e.dshield #>> '{ip,asn}')::integer AS asn,
       upper(COALESCE(d.maxmind ->> 'country', e.maxmind ->> 'country', d.cymru ->> 'country',
                      e.cymru ->> 'country', d.dshield #>> '{ip,ascountry}',
                      e.dshield #>> '{ip,ascountry}')) AS country,
       COALESCE(d.spur #>> '{client,types,0}', d.spur ->> 3, e.spur #>> '{client,types,0}',
                e.spur ->> 3) AS ip_type,
       COALESCE(d.maxmind ->> 'asn_org', e.maxmind ->> 'asn_org', d.cymru ->> 'asn_org',
                e.cymru ->> 'asn_org', d.dshield #>> '{ip,asname}', e.dshield #>> '{ip,asname}')
         AS organization,
       COALESCE(d.dshield #>> '{ip,ascountry}', e.dshield #>> '{ip,ascountry}', d.cymru ->> 'country',
                e.cymru ->> 'country') AS organization_country,
       upper(COALESCE(d.cymru ->> 'registry', e.cymru ->> 'registry')) AS registry,
       COALESCE(d.dshield, d.maxmind, d.cymru, d.spur, d.greynoise, d.validation, d.urlhaus, e.dshield,
                e.maxmind, e.cymru, e.spur) IS NOT NULL AS has_data
FROM session_summaries AS s
-- the whole document is read once here, what follows reads small parts of it
LEFT JOIN LATERAL json_to_record(CASE json_typeof(s.enrichment) WHEN 'object' THEN s.enrichment END)
  AS d (session_metadata json, dshield json, maxmind json, cymru json, spur json, greynoise json,
        validation json, urlhaus json, session json, enriched_at timestamptz) ON true
LEFT JOIN LATERAL (SELECT key, value FROM json_each(d.session) LIMIT 1) AS entry ON true
LEFT JOIN LATERAL json_to_record(entry.value)
  AS e (dshield json, maxmind json, cymru json, spur json) ON true;

UPDATE facts AS f SET source_ip = r.src_ip
FROM (SELECT DISTINCT ON (session_id) session_id, payload ->> 'src_ip' AS src_ip
      FROM raw_events WHERE session_id IN (SELECT session_id FROM facts WHERE source_ip IS NULL)
      ORDER BY session_id, event_timestamp, id) AS r
WHERE f.session_id = r.session_id AND f.source_ip IS NULL;
ANALYZE facts;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;

CREATE TABLE new_summaries AS
SELECT s.*, f.source_ip::varchar(45), f.enriched_at AS enrichment_at, f.asn AS snapshot_asn,
       f.country::varchar(2) AS snapshot_country, f.ip_type AS snapshot_ip_type
FROM session_summaries AS s JOIN facts AS f USING (session_id);

ALTER TABLE password_session_usage DROP CONSTRAINT fk_password_session_usage_session;
ALTER TABLE longtail_detection_sessions DROP CONSTRAINT fk_longtail_detection_sessions_session;
DROP TABLE session_summaries;
ALTER TABLE new_summaries RENAME TO session_summaries;
ALTER TABLE session_summaries
  ADD CONSTRAINT pk_session_summaries PRIMARY KEY (session_id),
  ALTER event_count SET NOT NULL, ALTER event_count SET DEFAULT 0,
  ALTER command_count SET NOT NULL, ALTER command_count SET DEFAULT 0,
  ALTER file_downloads SET NOT NULL, ALTER file_downloads SET DEFAULT 0,
  ALTER login_attempts SET NOT NULL, ALTER login_attempts SET DEFAULT 0,
  ALTER vt_flagged SET NOT NULL, ALTER vt_flagged SET DEFAULT false,
  ALTER dshield_flagged SET NOT NULL, ALTER dshield_flagged SET DEFAULT false,
  ALTER created_at SET NOT NULL, ALTER created_at SET DEFAULT now(),
  ALTER updated_at SET NOT NULL, ALTER updated_at SET DEFAULT now(),
  ALTER ssh_key_injections SET NOT NULL, ALTER ssh_key_injections SET DEFAULT 0,
  ALTER unique_ssh_keys SET NOT NULL, ALTER unique_ssh_keys SET DEFAULT 0;
CREATE INDEX ix_session_summaries_first_event ON session_summaries (first_event_at);
CREATE INDEX ix_session_summaries_last_event ON session_summaries (last_event_at);
CREATE INDEX ix_session_summaries_flags ON session_summaries (vt_flagged, dshield_flagged);
CREATE INDEX ix_session_summaries_ssh_keys ON session_summaries (ssh_key_injections);
ALTER TABLE password_session_usage ADD CONSTRAINT fk_password_session_usage_session
  FOREIGN KEY (session_id) REFERENCES session_summaries (session_id);
ALTER TABLE longtail_detection_sessions ADD CONSTRAINT fk_longtail_detection_sessions_session
  FOREIGN KEY (session_id) REFERENCES session_summaries (session_id) ON DELETE CASCADE;

\i :tables
INSERT INTO asn_inventory (asn_number, organization_name, organization_country, rir_registry,
                           first_seen, last_seen, unique_ip_count, total_session_count, enrichment)
SELECT g.asn, l.organization, l.organization_country, l.registry, g.first_seen, g.last_seen, g.ips,
       g.sessions,
       jsonb_strip_nulls(jsonb_build_object('maxmind', d -> 'maxmind', 'cymru', d -> 'cymru',
                                            'dshield', d -> 'dshield'))
FROM (SELECT asn, min(started) AS first_seen, max(ended) AS last_seen, count(DISTINCT source_ip) AS ips,
             count(*) AS sessions FROM facts WHERE asn IS NOT NULL GROUP BY asn) AS g
JOIN (SELECT DISTINCT ON (asn) asn, session_id, organization, organization_country, registry
      FROM facts WHERE asn IS NOT NULL
      ORDER BY asn, ended DESC, session_id COLLATE "C" DESC) AS l USING (asn)
CROSS JOIN LATERAL (SELECT enrichment::jsonb AS d FROM session_summaries
                    WHERE session_id = l.session_id OFFSET 0) AS s;

INSERT INTO ip_inventory (ip_address, current_asn, first_seen, last_seen, session_count, enrichment)
SELECT g.source_ip, c.asn, g.first_seen, g.last_seen, g.sessions,
       COALESCE((s.d - '{session,session_metadata,password_stats,virustotal}'::text[])
                || COALESCE(s.d -> 'session' -> g.source_ip, '{}'), '{}')
FROM (SELECT source_ip, min(started) AS first_seen, max(ended) AS last_seen, count(*) AS sessions
      FROM facts WHERE source_ip IS NOT NULL GROUP BY source_ip) AS g
LEFT JOIN (SELECT DISTINCT ON (source_ip) source_ip, asn FROM facts WHERE asn IS NOT NULL
           ORDER BY source_ip, ended DESC, session_id COLLATE "C" DESC) AS c USING (source_ip)
LEFT JOIN (SELECT DISTINCT ON (source_ip) source_ip, session_id FROM facts WHERE has_data
           ORDER BY source_ip, ended DESC, session_id COLLATE "C" DESC) AS l USING (source_ip)
LEFT JOIN LATERAL (SELECT enrichment::jsonb AS d FROM session_summaries
                   WHERE session_id = l.session_id OFFSET 0) AS s ON true;

INSERT INTO ip_asn_history (ip_address, asn_number, observed_at)
SELECT DISTINCT source_ip, asn, started
FROM (SELECT source_ip, asn, started,
             lag(asn) OVER (PARTITION BY source_ip ORDER BY started, session_id COLLATE "C") AS previous
      FROM facts WHERE source_ip IS NOT NULL AND asn IS NOT NULL) AS seen
WHERE previous IS DISTINCT FROM asn;
DROP TABLE facts;
\i :keys
ANALYZE session_summaries, asn_inventory, ip_inventory, ip_asn_history;
UPDATE schema_state SET value = '16' WHERE key = 'schema_version';
COMMIT;
