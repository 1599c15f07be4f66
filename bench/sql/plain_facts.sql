-- Part of plain.sql and batched.sql: what each document says, read once.
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
