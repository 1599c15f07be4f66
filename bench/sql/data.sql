-- Fills a v15 database (test/fixtures/v15.sql) with sessions as a honeypot collects them, for
-- measuring: documents of 3 to 5 KB in the shapes that occur, none of which plain SQL fails on. The
-- tests have sessions.sql for what else there is.
--
-- psql variable: n, the number of sessions.
--
-- Deterministic: everything follows from md5 of the session's number. One IP per six sessions with
-- a heavy tail, one ASN per sixty IPs, one IP in ten moves between ASNs.

CREATE TABLE generator AS
SELECT i, h, r2, ip, asn, s, h2,
       (ARRAY['CN', 'US', 'RU', 'BR', 'IN', 'VN', 'DE', 'NL', 'KR', 'FR'])[1 + asn % 10] AS country,
       timestamptz '2024-01-01 00:00Z' + i * (interval '500 days' / :n) AS started
FROM generate_series(1, :n) AS i
CROSS JOIN LATERAL (SELECT md5('session ' || i) AS h, encode(sha512(i::text::bytea), 'hex') AS s,
                           encode(sha512((-i)::text::bytea), 'hex') AS h2 OFFSET 0) AS a
CROSS JOIN LATERAL (
  SELECT ('x' || substr(h, 1, 7))::bit(28)::integer AS r1,
         ('x' || substr(h, 9, 7))::bit(28)::integer AS r2 OFFSET 0) AS b
CROSS JOIN LATERAL (
  SELECT floor(:n / 6 * power(r1 / 268435456.0, 3))::integer AS k OFFSET 0) AS c
CROSS JOIN LATERAL (
  SELECT 1000 + 37 * ((k + CASE WHEN k % 10 = 0 THEN i * 4 / (:n + 1) ELSE 0 END)
                      % greatest(3, :n / 360)) AS asn,
         CASE WHEN k % 17 = 3
              THEN format('2001:db8:%s:%s::%s', to_hex(1 + k / 65536), to_hex(k % 65536),
                          to_hex(1 + k % 99))
              ELSE format('%s.%s.%s.%s', 20 + k / 65536, k / 256 % 256, k % 256, 1 + k % 254)
         END AS ip OFFSET 0) AS d;

INSERT INTO session_summaries
  (session_id, first_event_at, last_event_at, event_count, command_count, login_attempts,
   vt_flagged, risk_score, matcher, source_files, enrichment, created_at, updated_at)
SELECT left(h, 16), started, started + (r2 % 600) * interval '1 second', r2 % 40, r2 % 9, r2 % 20,
       r2 % 50 = 0, r2 % 100, 'cowrie', '["/srv/cowrie/log/cowrie.json"]',
       CASE
         WHEN r2 % 40 = 0 THEN NULL
         WHEN r2 % 40 < 4 THEN 'null'::json
         -- the address from raw events alone
         WHEN r2 % 40 < 6 THEN ('{' || concat_ws(',', maxmind, cymru, spur, scoped) || '}')::json
         -- flat
         WHEN r2 % 40 < 26 THEN
           ('{' || concat_ws(',', '"enriched_at":' || to_json(started + interval '90 minutes'),
                             dshield, maxmind, cymru, spur, others, scoped) || '}')::json
         -- metadata
         WHEN r2 % 40 < 29 THEN
           (format('{"session_metadata":{"source_ip":"%s","sensor":"hp-%s"},', ip, r2 % 12)
            || concat_ws(',', maxmind, spur, scoped) || '}')::json
         -- nested
         ELSE (format('{"session":{"%s":{', ip) || concat_ws(',', dshield, spur, others) || '}},'
               || scoped || '}')::json
       END,
       started + interval '1 day', started + interval '2 days'
FROM generator
CROSS JOIN LATERAL (
  SELECT format('"maxmind":{"country":"%s","asn":%s,"asn_org":"Organisation %s"}', country, asn, asn)
           AS maxmind,
         format('"cymru":{"asn":"%s","asn_org":"ORG-%s, %s","country":"%s","registry":"%s",'
                '"prefix":"%s/24"}', asn, asn, country, country,
                (ARRAY['apnic', 'ripencc', 'arin', 'lacnic'])[1 + asn % 4], ip) AS cymru,
         format('"dshield":{"ip":{"number":"%s","count":%s,"attacks":%s,"maxdate":"%s","mindate":"%s",'
                '"updated":"%s","comment":null,"maxrisk":null,"asabusecontact":"abuse@as%s.example",'
                '"as":%s,"asn":"%s","asname":"AS-NAME-%s","ascountry":"%s","assize":%s,'
                '"network":"%s/24","threatfeeds":{"blocklistde22":{"lastseen":"%s","firstseen":"%s"},'
                '"ciarmy":{"lastseen":"%s","firstseen":"%s"}}}}', ip, r2 % 90000, r2 % 5000,
                started::date, started::date - 90, started, asn, asn, asn, asn, country, asn * 256, ip,
                started::date, started::date - 90, started::date, started::date - 90) AS dshield,
         CASE r2 % 3
           WHEN 0 THEN format('"spur":["AS%s Organisation %s","Organisation %s","%s","%s","","","","",""]',
                              asn, asn, asn, country,
                              (ARRAY['DATACENTER', 'VPN', 'MOBILE'])[1 + r2 % 3])
           ELSE format('"spur":{"as":{"number":%s,"organization":"Organisation %s"},"client":{"count":%s,'
                       '"types":["%s"]},"risks":["TUNNEL","CALLBACK_PROXY"]}', asn, asn, r2 % 9,
                       (ARRAY['DATACENTER', 'RESIDENTIAL', 'VPN', 'MOBILE'])[1 + r2 % 4]) END AS spur,
         format('"greynoise":{"noise":%s,"riot":false,"classification":"%s","last_seen":"%s"},'
                '"validation":{"is_bogon":false,"is_reserved":false},"urlhaus":"elf,mirai,%s"',
                (r2 % 2 = 0)::text, (ARRAY['malicious', 'unknown'])[1 + r2 % 2], started::date, left(s, 6))
           AS others,
         format('"password_stats":{"total":%s,"unique":%s,"passwords":[%s]},', r2 % 90, r2 % 60,
           (SELECT string_agg(format('{"username":"%s","password":"%s%s","sha1":"%s","count":%s}',
                                     (ARRAY['root', 'admin', 'pi', 'ubuntu'])[1 + (r2 + j) % 4],
                                     substr(s, 1 + j * 5, 5), j, substr(h2 || s, 1 + j * 17, 40),
                                     (r2 + j) % 40), ',')
            FROM generate_series(0, 6 + r2 % 10) AS j))
         || format('"virustotal":{"%s":{"malicious":%s,"reputation":%s,"names":[%s],"scans":{%s}}}',
           left(s, 64), r2 % 60, r2 % 40,
           (SELECT string_agg(format('"%s"', substr(h2, 1 + j * 40, 40)), ',')
            FROM generate_series(0, 2) AS j),
           (SELECT string_agg(format('"Engine%s":{"detected":%s,"version":"1.%s.%s","result":"Linux.%s",'
                                     '"update":"%s"}', j, ((r2 + j) % 3 = 0)::text, j, substr(s, 1 + j * 4, 5),
                                     substr(md5(h || j), 1, 26), started::date), ',')
            FROM generate_series(0, 9 + r2 / 7 % 14) AS j)) AS scoped OFFSET 0) AS pieces
ORDER BY i;

INSERT INTO raw_events (source, source_offset, payload, session_id, event_type, event_timestamp)
SELECT '/srv/cowrie/log/cowrie.json', 2 * i + kind,
       CASE kind
         WHEN 0 THEN format('{"eventid":"cowrie.session.connect","src_ip":"%s","src_port":%s,'
                            '"dst_port":2222,"session":"%s","sensor":"hp-%s"}', ip, 1024 + r2 % 60000,
                            left(h, 16), r2 % 12)
         ELSE format('{"eventid":"cowrie.login.failed","src_ip":"%s","username":"root","password":"%s",'
                     '"session":"%s","sensor":"hp-%s"}', ip, left(s, 9), left(h, 16), r2 % 12)
       END::json,
       left(h, 16), (ARRAY['cowrie.session.connect', 'cowrie.login.failed'])[1 + kind],
       started + kind * interval '3 seconds'
FROM generator CROSS JOIN generate_series(0, 1) AS kind
ORDER BY i, kind;

DROP TABLE generator;
VACUUM (FREEZE, ANALYZE) session_summaries, raw_events;
