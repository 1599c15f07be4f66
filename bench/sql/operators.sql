-- The fields that the facts are made of, looked up at the top level with PostgreSQL's own operators.
-- Nothing is judged, cleaned or looked up under "session": that would take more time still.
SELECT count(enrichment -> 'session_metadata' ->> 'source_ip'),
       count(enrichment -> 'dshield' -> 'ip' ->> 'number'),
       count(enrichment -> 'session'),
       count(enrichment -> 'maxmind' ->> 'asn'),
       count(enrichment -> 'cymru' ->> 'asn'),
       count(enrichment -> 'dshield' -> 'ip' ->> 'asn'),
       count(enrichment -> 'maxmind' ->> 'country'),
       count(enrichment -> 'cymru' ->> 'country'),
       count(enrichment -> 'dshield' -> 'ip' ->> 'ascountry'),
       count(enrichment -> 'spur' -> 'client' ->> 'types'),
       count(enrichment -> 'maxmind' ->> 'asn_org'),
       count(enrichment -> 'cymru' ->> 'asn_org'),
       count(enrichment -> 'dshield' -> 'ip' ->> 'asname'),
       count(enrichment -> 'cymru' ->> 'registry'),
       count(enrichment -> 'greynoise' ->> 'noise'),
       count(enrichment -> 'validation' ->> 'is_bogon'),
       count(enrichment ->> 'enriched_at')
FROM readable;
