// Dependents: the text of the question to pg_depend.
#include "core/sql/dependents.hpp"

#include "core/sql/run_objects.hpp"

namespace cowrie {
namespace {

// Every kind of dependency counts: an automatic one is how DROP COLUMN takes indexes, constraints
// and statistics along in silence. Up to the owner of an internal part, because that goes with it:
// the rule of a view stands for the view, the index of a key for the key, that of a partition for
// that of the whole (but not for the partition, on which it depends in the second place). Not down
// into a table that inherits: it is detached, not dropped.
constexpr const char *reached = R"(
reached (classid, objid, objsubid) AS (
  SELECT classid, objid, objsubid FROM removed
  UNION
  SELECT next.classid, next.objid, next.objsubid
  FROM reached AS r
  CROSS JOIN LATERAL (
    SELECT d.classid, d.objid, d.objsubid
    FROM pg_depend AS d
    WHERE d.refclassid = r.classid AND d.refobjid = r.objid
      AND (r.objsubid = 0 OR d.refobjsubid = r.objsubid)
      AND (r.classid <> 'pg_class'::regclass
           OR NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = r.objid)
           OR EXISTS (SELECT FROM removed AS x WHERE x.classid = r.classid AND x.objid = r.objid))
    UNION ALL
    SELECT d.refclassid, d.refobjid, d.refobjsubid
    FROM pg_depend AS d
    WHERE d.classid = r.classid AND d.objid = r.objid AND d.objsubid = r.objsubid
      AND d.deptype IN ('i', 'P')
  ) AS next
))";

// What a table that loses a column takes it away from, although nothing depends on that column:
// columns that hold whole rows of it (by the row type, arrays, domains and composite types of it),
// and tables that inherit from it. (Partitions lose it as well, and no more than it.)
constexpr const char *holders = R"(
row_types (oid) AS (
  SELECT c.reltype FROM removed AS r JOIN pg_class AS c ON c.oid = r.objid
  WHERE r.classid = 'pg_class'::regclass AND r.objsubid <> 0 AND c.reltype <> 0
  UNION
  SELECT next.oid
  FROM row_types AS x
  CROSS JOIN LATERAL (
    SELECT t.oid FROM pg_type AS t WHERE t.typelem = x.oid OR t.typbasetype = x.oid
    UNION ALL
    SELECT c.reltype FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'c' WHERE a.atttypid = x.oid
  ) AS next
),
holders (classid, objid, objsubid) AS (
  SELECT 'pg_class'::regclass::oid, a.attrelid, a.attnum::integer
  FROM row_types AS x
  JOIN pg_attribute AS a ON a.atttypid = x.oid AND NOT a.attisdropped
  JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'm', 'f')
  UNION
  SELECT r.classid, i.inhrelid, 0
  FROM removed AS r JOIN pg_inherits AS i ON i.inhparent = r.objid
  JOIN pg_class AS c ON c.oid = i.inhrelid AND NOT c.relispartition
  WHERE r.classid = 'pg_class'::regclass AND r.objsubid <> 0
))";

// What is left when the parts of what goes are taken out: whatever is internal to something else,
// columns with their defaults and sequences, NOT NULL, which PostgreSQL 18 keeps as constraints,
// and the trigger of an online run, which is dropped before. (Ends where is_own_trigger() goes on.)
constexpr const char *dependents = R"(
dependents (classid, objid, objsubid) AS (
  SELECT o.classid, o.objid, o.objsubid
  FROM (SELECT * FROM reached UNION SELECT * FROM holders) AS o
  WHERE NOT EXISTS (
      SELECT FROM removed AS r
      WHERE r.classid = o.classid AND r.objid = o.objid AND r.objsubid IN (0, o.objsubid))
    AND NOT EXISTS (
      SELECT FROM pg_depend AS d
      WHERE d.classid = o.classid AND d.objid = o.objid AND d.objsubid = o.objsubid
        AND d.deptype IN ('i', 'P', 'S'))
    AND NOT (o.classid = 'pg_attrdef'::regclass AND EXISTS (
      SELECT FROM pg_attrdef AS f JOIN removed AS r ON r.classid = 'pg_class'::regclass
        AND r.objid = f.adrelid AND r.objsubid IN (0, f.adnum)
      WHERE f.oid = o.objid))
    AND NOT (o.classid = 'pg_class'::regclass AND EXISTS (
      SELECT FROM pg_class AS s
      JOIN pg_depend AS d ON d.classid = o.classid AND d.objid = s.oid AND d.deptype = 'a'
      JOIN removed AS r ON r.classid = d.refclassid AND r.objid = d.refobjid
        AND r.objsubid IN (0, d.refobjsubid)
      WHERE s.oid = o.objid AND s.relkind = 'S'))
    AND NOT (o.classid = 'pg_constraint'::regclass AND EXISTS (
      SELECT FROM pg_constraint AS n WHERE n.oid = o.objid AND n.contype = 'n'))
    AND NOT (o.classid = 'pg_class'::regclass AND EXISTS (
      SELECT FROM pg_class AS i WHERE i.oid = o.objid AND i.relnamespace = 'pg_toast'::regnamespace))
    AND NOT (o.classid = 'pg_trigger'::regclass AND EXISTS (
      SELECT FROM pg_trigger AS g WHERE g.oid = o.objid AND )";

// What was made later may depend on what was made before, never the other way round: dropped in
// descending order of their OIDs, nothing stands in the way of anything.
constexpr const char *answer = R"(
SELECT pg_describe_object(o.classid, o.objid, o.objsubid) AS description,
  CASE o.classid
    WHEN 'pg_class'::regclass THEN (
      SELECT CASE
        WHEN o.objsubid <> 0 THEN (
          SELECT format('ALTER TABLE %s DROP COLUMN %I', c.oid::regclass, a.attname)
          FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = o.objsubid)
        WHEN c.relkind = 'v' THEN format('DROP VIEW %s', c.oid::regclass)
        WHEN c.relkind = 'm' THEN format('DROP MATERIALIZED VIEW %s', c.oid::regclass)
        WHEN c.relkind = 'i' THEN format('DROP INDEX %s', c.oid::regclass)
        WHEN c.relkind = 'S' THEN format('DROP SEQUENCE %s', c.oid::regclass)
        WHEN c.relkind = 'r' THEN (
          SELECT format('ALTER TABLE %s NO INHERIT %s', c.oid::regclass, i.inhparent::regclass)
          FROM pg_inherits AS i WHERE i.inhrelid = c.oid LIMIT 1)
        END
      FROM pg_class AS c WHERE c.oid = o.objid)
    WHEN 'pg_constraint'::regclass THEN (
      SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname)
      FROM pg_constraint AS c WHERE c.oid = o.objid AND c.conrelid <> 0)
    WHEN 'pg_trigger'::regclass THEN (
      SELECT format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass)
      FROM pg_trigger AS t WHERE t.oid = o.objid)
    WHEN 'pg_rewrite'::regclass THEN (
      SELECT format('DROP RULE %I ON %s', w.rulename, w.ev_class::regclass)
      FROM pg_rewrite AS w WHERE w.oid = o.objid)
    WHEN 'pg_policy'::regclass THEN (
      SELECT format('DROP POLICY %I ON %s', p.polname, p.polrelid::regclass)
      FROM pg_policy AS p WHERE p.oid = o.objid)
    WHEN 'pg_statistic_ext'::regclass THEN (
      SELECT format('DROP STATISTICS %s.%I', s.stxnamespace::regnamespace, s.stxname)
      FROM pg_statistic_ext AS s WHERE s.oid = o.objid)
    WHEN 'pg_publication_rel'::regclass THEN (
      SELECT format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, m.prrelid::regclass)
      FROM pg_publication_rel AS m JOIN pg_publication AS p ON p.oid = m.prpubid
      WHERE m.oid = o.objid)
    WHEN 'pg_attrdef'::regclass THEN (
      SELECT format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', f.adrelid::regclass, a.attname)
      FROM pg_attrdef AS f JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
      WHERE f.oid = o.objid)
    WHEN 'pg_proc'::regclass THEN format('DROP ROUTINE %s', o.objid::regprocedure)
    WHEN 'pg_type'::regclass THEN format('DROP TYPE %s', o.objid::regtype)
  END AS command
FROM dependents AS o
ORDER BY o.objid DESC, o.objsubid)";

} // namespace

std::string dependents_query(const std::string &removed) {
  return "WITH RECURSIVE removed (classid, objid, objsubid) AS (" + removed + ")," + reached + "," +
         holders + "," + dependents + run_objects::is_own_trigger("g") + ")))" + answer;
}

std::string naming_routines_query(const std::string &words) {
  return "SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_language AS l ON l.oid ="
         " p.prolang WHERE l.lanname NOT IN ('internal', 'c') AND p.prosqlbody IS NULL"
         " AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, "
         "'information_schema'::regnamespace)"
         " AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass"
         " AND d.objid = p.oid AND d.deptype = 'e') AND p.prosrc ~* ('\\m(' || " +
         words + " || ')\\M') ORDER BY 1";
}

} // namespace cowrie
