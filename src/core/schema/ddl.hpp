// DDL: a declared object, written as the SQL that makes, changes or drops it.
//
// What it may know: the words of a schema. Error regime: never fails; every identifier is quoted.
#pragma once

#include <string>
#include <vector>

#include "core/schema/schema.hpp"

namespace cowrie::ddl {

/** `character varying(20) NOT NULL DEFAULT '2.2'::character varying`: a column without its name. */
std::string definition(const Column &column);
std::string definition(const Index &index);
std::string definition(const Constraint &constraint);

/** `CREATE TABLE "s"."t" (…)` with the columns only: keys and indexes follow the rows. */
std::string create_table(const std::string &schema, const Table &table);

/** `"c" integer NOT NULL DEFAULT 0`, as it stands in CREATE TABLE or after ADD COLUMN. */
std::string column_clause(const Column &column);

/** Says what a table is for. */
std::string comment_on_table(const std::string &schema, const Table &table);
/** `ALTER TABLE "s"."t" ADD COLUMN …, ADD COLUMN …`. */
std::string add_columns(const std::string &schema, const std::string &table,
                        const std::vector<const Column *> &columns);

/** Whether a foreign key is validated as it is added; a partitioned table takes no other before
 *  PostgreSQL 18. */
enum class Validated : bool { no, yes };
/** `CONSTRAINT "n" CHECK (…)`; a foreign key is written NOT VALID where it is not to be validated.
 */
std::string constraint_clause(const std::string &schema, const Constraint &constraint,
                              Validated validated = Validated::no);
std::string add_constraint(const std::string &schema, const std::string &table,
                           const Constraint &constraint, Validated validated = Validated::no);
std::string validate_constraint(const std::string &schema, const std::string &table,
                                const std::string &name);
enum class Concurrently : bool { no, yes };
std::string create_index(const std::string &schema, const std::string &table, const Index &index,
                         Concurrently concurrently = Concurrently::no);

std::string drop_index(const std::string &schema, const std::string &name);
/** Builds an index anew beside its writers; no transaction may contain it. */
std::string reindex_concurrently(const std::string &schema, const std::string &name);
std::string drop_constraint(const std::string &schema, const std::string &table,
                            const std::string &name);
std::string drop_columns(const std::string &schema, const std::string &table,
                         const std::vector<std::string> &columns);
std::string drop_table(const std::string &schema, const std::string &table);

std::string rename_column(const std::string &schema, const std::string &table,
                          const std::string &from, const std::string &to);
std::string rename_table(const std::string &schema, const std::string &table,
                         const std::string &to);
std::string set_logged(const std::string &schema, const std::string &table);
std::string drop_not_null(const std::string &schema, const std::string &table,
                          const std::string &column);

/** Tells whether the server gives the column its values, as GENERATED … AS IDENTITY. */
bool is_identity(const Column &observed) noexcept;

/** The part of an ALTER TABLE that takes away what would outlive a change of type: the default, the
 *  identity or the expression, with the values kept; empty: there is none. */
std::string plain_clause(const Column &observed);

/** `ALTER COLUMN "c" TYPE integer USING …`, a part of an ALTER TABLE. */
std::string retype_clause(const Column &declared, const std::string &values);

/** `ALTER TABLE "s"."t" a, b`; empty when there is no clause. */
std::string alter_table(const std::string &schema, const std::string &table,
                        const std::vector<std::string> &clauses);

/** Writes the default into rows that have none, for a column that is about to be NOT NULL. */
std::string fill_nulls(const std::string &schema, const std::string &table,
                       const std::string &column, const std::string &value);

/** Changes default and nullness of an existing column into the declared ones; empty: no need. */
std::string alter_column(const std::string &schema, const std::string &table,
                         const Column &declared, const Column &observed);

/** `"a", "b"`. */
std::string column_list(const std::vector<std::string> &names);

} // namespace cowrie::ddl
