// Carried over: what hangs on a column that a repair replaces.
#include "core/sql/carried_over.hpp"

#include "core/schema/schema.hpp"
#include "core/sql/fill.hpp"

namespace cowrie {
namespace {

// Names are written with their schemas because search_path is pinned.
constexpr const char *query = R"(WITH columns AS (
  SELECT * FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = ANY ({columns})
), users AS (
  SELECT DISTINCT d.classid, d.objid FROM columns AS c JOIN pg_depend AS d
  ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.attrelid AND d.refobjsubid = c.attnum
), indexes AS (
  SELECT c.*, format('index %I', c.relname) AS words, i.indisclustered, i.indisreplident, i.indrelid
  FROM users AS u JOIN pg_class AS c ON u.classid = 'pg_class'::regclass AND c.oid = u.objid
  JOIN pg_index AS i ON i.indexrelid = c.oid
  WHERE c.relname <> ALL ({declared})
  AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
), constraints AS (
  SELECT k.*, format('constraint %I', k.conname) AS words
  FROM users AS u JOIN pg_constraint AS k ON u.classid = 'pg_constraint'::regclass AND k.oid = u.objid
  WHERE k.conrelid = $1::text::regclass AND k.contype IN ('c', 'u', 'x', 'f')
  AND k.conname <> ALL ({declared})
), statistics AS (
  SELECT s.*, format('statistics %I', s.stxname) AS words,
    format('%I.%I', n.nspname, s.stxname) AS name
  FROM users AS u
  JOIN pg_statistic_ext AS s ON u.classid = 'pg_statistic_ext'::regclass AND s.oid = u.objid
  JOIN pg_namespace AS n ON n.oid = s.stxnamespace
), steps (object, part, words, dropped, made) AS (
  SELECT oid, 1, words, format('DROP INDEX %s', oid::regclass), pg_get_indexdef(oid) FROM indexes
  UNION ALL SELECT i.oid, 2, words, NULL, format('ALTER INDEX %I.%I SET TABLESPACE %I',
    n.nspname, i.relname, t.spcname) FROM indexes AS i JOIN pg_tablespace AS t ON t.oid = i.reltablespace
    JOIN pg_namespace AS n ON n.oid = i.relnamespace
  UNION ALL SELECT i.oid, 3, words, NULL, format('ALTER TABLE %s CLUSTER ON %I', indrelid::regclass,
    relname) FROM indexes AS i WHERE indisclustered
  UNION ALL SELECT i.oid, 4, words, NULL, format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I',
    indrelid::regclass, relname) FROM indexes AS i WHERE indisreplident
  UNION ALL SELECT i.oid, 5, words, NULL, format('COMMENT ON INDEX %I.%I IS %L', n.nspname, i.relname,
    obj_description(i.oid, 'pg_class')) FROM indexes AS i
    JOIN pg_namespace AS n ON n.oid = i.relnamespace WHERE obj_description(i.oid, 'pg_class') IS NOT NULL
  UNION ALL SELECT oid, 1, words, format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
    format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM constraints
  UNION ALL SELECT oid, 2, words, NULL, format('COMMENT ON CONSTRAINT %I ON %s IS %L', conname,
    conrelid::regclass, obj_description(oid, 'pg_constraint'))
    FROM constraints WHERE obj_description(oid, 'pg_constraint') IS NOT NULL
  UNION ALL SELECT oid, 1, words, format('DROP STATISTICS %s', name), pg_get_statisticsobjdef(oid)
    FROM statistics
  UNION ALL SELECT oid, 2, words, NULL, format('ALTER STATISTICS %s SET STATISTICS %s', name, stxstattarget)
    FROM statistics WHERE stxstattarget >= 0
  UNION ALL SELECT oid, 3, words, NULL, format('COMMENT ON STATISTICS %s IS %L', name,
    obj_description(oid, 'pg_statistic_ext'))
    FROM statistics WHERE obj_description(oid, 'pg_statistic_ext') IS NOT NULL
  UNION ALL SELECT a.attnum, 1, format('grants of %I', a.attname), NULL,
    format('GRANT %s (%I) ON TABLE %s TO %s', x.privilege_type, a.attname, a.attrelid::regclass,
      CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END)
      || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
    FROM columns AS a CROSS JOIN LATERAL aclexplode(a.attacl) AS x
  UNION ALL SELECT attnum, 2, format('comment of %I', attname), NULL,
    format('COMMENT ON COLUMN %s.%I IS %L', attrelid::regclass, attname, col_description(attrelid, attnum))
    FROM columns WHERE col_description(attrelid, attnum) IS NOT NULL
  UNION ALL SELECT attnum, 3, format('statistics target of %I', attname), NULL,
    format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', attrelid::regclass, attname, attstattarget)
    FROM columns WHERE attstattarget >= 0
  UNION ALL SELECT attnum, 4, format('options of %I', attname), NULL,
    format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', attrelid::regclass, attname, o)
    FROM columns CROSS JOIN LATERAL unnest(attoptions) AS o WHERE o LIKE 'n\_distinct%'
) SELECT words, dropped, made FROM steps ORDER BY object, part, made)";

} // namespace

std::string carried_over_query(const std::vector<std::string> &columns,
                               const std::vector<std::string> &declared) {
  return sql::fill(query, {{"columns", text_array(columns)}, {"declared", text_array(declared)}});
}

} // namespace cowrie
