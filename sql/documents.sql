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
DROP EXTENSION cowrie_migrate;
