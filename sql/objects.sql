-- What \dx+ and \df+ show: every object of the extension has a comment, and so has every column that
-- people read. What is for its own use says "internal".
CREATE EXTENSION cowrie_migrate;
\pset format unaligned
\pset tuples_only on

CREATE VIEW members AS
SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS name,
       obj_description(d.objid, d.classid::regclass::name) AS comment
FROM pg_depend AS d JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE d.deptype = 'e' AND e.extname = 'cowrie_migrate'
-- From PostgreSQL 17 on the types that come with a relation or a type are members, too.
AND NOT EXISTS (SELECT FROM pg_type AS t LEFT JOIN pg_class AS r ON r.oid = t.typrelid
                WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND (t.typcategory = 'A' OR r.relkind <> 'c'));

-- None without.
SELECT name FROM members WHERE comment IS NULL;
SELECT r.oid::regclass, a.attname
FROM members AS m
JOIN pg_class AS r ON r.oid = m.objid OR r.reltype = m.objid
JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0
WHERE r.relkind IN ('r', 'v', 'c') AND m.comment !~ '^internal' AND r.relname <> 'cowrie_fingerprint_sum'
AND col_description(a.attrelid, a.attnum) IS NULL;

-- In the style of the server's own: one phrase, no full stop, no capital.
SELECT name, comment FROM members WHERE comment ~ '\n|\.$|^[A-Z][a-z]' OR length(comment) > 110;

-- What there is for people.
SELECT name || ': ' || comment FROM members
WHERE comment !~ '^(internal|progress of)' AND name !~ 'fingerprint' ORDER BY name COLLATE "C";

DROP VIEW members;
DROP EXTENSION cowrie_migrate;
