-- The facts of a document, as analysts may ask for them; the same for json and jsonb.
CREATE EXTENSION cowrie_migrate;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE TABLE documents (name text, document text);
INSERT INTO documents VALUES
('flat', '{"dshield": {"ip": {"number": " 198.51.100.7 ", "asn": "AS64500", "ascountry": "nl", "asname": "EXAMPLE"}},
  "maxmind": {"country": "DE", "asn": 64496, "asn_org": "Example Org"}, "cymru": {"asn": "64497", "registry": "ripencc"},
  "spur": {"client": {"types": ["MOBILE", "vpn", "TOR"]}}, "greynoise": {"noise": true},
  "validation": {"is_bogon": "FALSE"}, "enriched_at": "2025-03-01T10:00:00+02:00"}'),
('list spur', '{"spur": ["", "", "", "DATACENTER"], "dshield": {"ip": {"number": "2001:DB8::0:1"}}}'),
('nested', '{"session": {"203.0.113.9": {"maxmind": {"country": "fr", "asn": "64499"}, "spur": {"client": {"types": "PROXY"}}}},
  "virustotal": {"abc": {}}, "maxmind": {"country": "XX", "asn": null}}'),
('metadata', '{"session_metadata": {"source_ip": "::ffff:192.0.2.1"}, "dshield": {"ip": {"number": "198.51.100.1"}}}'),
('falls through', '{"maxmind": {"asn": "AS0", "country": "USA"}, "cymru": {"asn": 4294967295, "country": 7},
  "dshield": {"ip": {"asn": 1e3, "ascountry": "us", "number": "10.0.0.1:22"}}, "enriched_at": "now"}'),
('last key wins', '{"maxmind": {"asn": 1}, "maxmind": {"asn": 2}, "max\u006dind": {"asn": 3}}'),
('null', 'null'), ('empty', '{}'), ('array', '[1]'), ('scalar', '"text"');
SELECT name, f.* FROM documents, cowrie_enrichment_facts(document::json) AS f;
SELECT name FROM documents
WHERE to_jsonb(cowrie_enrichment_facts(document::json))
   <> to_jsonb(cowrie_enrichment_facts(document::jsonb));
SELECT f.* FROM cowrie_enrichment_facts(NULL::json) AS f;
SELECT (cowrie_enrichment_facts('{"password_stats": "\u0000", "maxmind": {"country": "se", "asn_org": "a\u0000b\ud800"}}'::json)).*;
-- immutable, so it can be indexed
CREATE INDEX ON documents (((cowrie_enrichment_facts(document::jsonb)).asn));
DROP TABLE documents;

-- The zero-loss gate compares stored bytes first; a document that the rewrite stores in another form
-- is compared by its text. Long ones stand uncompressed in their rows here, until they are rewritten.
\getenv abs_srcdir PG_ABS_SRCDIR
\set v15 :abs_srcdir '/test/fixtures/v15.sql'
\set schema stored
\set ECHO none
\i :v15
\set ECHO all
ALTER TABLE stored.session_summaries SET (toast_tuple_target = 8160);
INSERT INTO stored.session_summaries (session_id, enrichment)
SELECT 'plain ' || i, format('{"maxmind": {"asn": %s}, "x": "%s"}', i, repeat('y', 4000))::json
FROM generate_series(1, 3) AS i;
ALTER TABLE stored.session_summaries RESET (toast_tuple_target);
INSERT INTO stored.session_summaries (session_id, enrichment)
SELECT 'compressed ' || i, format('{"maxmind": {"asn": %s}, "x": "%s"}', i, repeat('y', 4000))::json
FROM generate_series(1, 3) AS i;
CREATE VIEW stored.sums AS
SELECT split_part(session_id, ' ', 1) AS stored, min(pg_column_size(enrichment)) > 4000 AS plain,
       (cowrie_migrate_internal.cowrie_fingerprint(session_id, enrichment, first_event_at, last_event_at, true)).documents,
       (cowrie_migrate_internal.cowrie_kept_fingerprint(session_id, enrichment, first_event_at, last_event_at, true)).documents
         AS kept
FROM stored.session_summaries GROUP BY 1;
CREATE TABLE stored.before AS TABLE stored.sums;
SET client_min_messages = warning;
SELECT step, status, rows, detail FROM cowrie_migrate_v16('stored') WHERE step = 'zero_loss_gate';
SELECT stored, b.plain AS plain_before, a.plain, a.documents = b.documents AS same_text,
       a.kept = b.kept AS same_bytes
FROM stored.before AS b JOIN stored.sums AS a USING (stored) ORDER BY stored;
DROP SCHEMA stored CASCADE;
DROP EXTENSION cowrie_migrate;
