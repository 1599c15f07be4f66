-- Part of plain.sql and batched.sql: the rows of the inventories, from the facts.
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
