// The words of a schema: table, column, index, constraint; declared as well as observed.
//
// What it may know: names and definitions as text. No server, no SQL but fragments. Error regime:
// plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cowrie {

/** The version that everything begins with. */
inline constexpr int base_version = 15;

/** What is done, verified and recorded together. A phase is known by its place in the list of its
 *  schema: 1, 2, … */
struct Phase {
  int version = 0; ///< the version that it belongs to
  int number = 0;  ///< within that version: schema_subphase is `version.number`
  std::string_view name;
};

/**
 * An SQL expression. `sql` is how it is written or displayed; `form` is the server's own parsed
 * form of it, against the table it belongs to, and is what comparisons use: deparsed text differs
 * between server versions, the form does not. Empty form: the server was not or could not be asked.
 */
struct Expression {
  std::string sql;
  std::string form;
  bool empty() const noexcept { return sql.empty(); }
};

/** Who gives a column its values. */
enum class FilledBy : std::uint8_t {
  migration,   ///< derived from the sessions, and derived again by the next migration
  application, ///< left at its default by the migration: other values are the application's own
  clock,       ///< the time of the record itself
};

struct Column {
  std::string name;
  std::string type; ///< as format_type() writes it: `character varying(45)`; a collation other than
                    ///< the type's own follows as ` COLLATE "C"`
  bool not_null = false;
  Expression default_value;
  Expression generated; ///< GENERATED ALWAYS AS (…) STORED
  int phase = 0;
  // Declared only.
  std::vector<std::string> other_types;  ///< types that are as good as `type`
  std::vector<std::string> former_names; ///< names that older attempts gave it
  std::string fallback; ///< SQL for rows that have none and that nothing else tells a value for
  FilledBy filled_by = FilledBy::migration;
  // Observed only.
  bool inherited = false; ///< the server forbids to alter it here
};

/** The form of the default of an identity column. */
inline constexpr const char *identity_form = "identity";

struct IndexColumn {
  std::string name;
  bool descending = false; ///< DESC implies NULLS FIRST, as in SQL
};

struct Index {
  std::string name;
  std::string method = "btree";
  std::vector<IndexColumn> columns;
  Expression predicate;
  int phase = 0;
  bool unique = false;
  // Observed only.
  std::string shown; ///< as the server writes it
  bool valid = true;
  bool ordinary = true; ///< no expressions, INCLUDE columns, foreign collations or operator classes
};

enum class ConstraintKind : std::uint8_t { primary_key, check, foreign_key };

struct Constraint {
  std::string name;
  ConstraintKind kind = ConstraintKind::check;
  std::vector<std::string> columns;
  Expression check;
  std::string target_table;
  std::vector<std::string> target_columns;
  int phase = 0;
  // Observed only.
  std::string shown; ///< as the server writes it
  bool validated = true;
  bool ordinary = true; ///< default actions and match type, not deferrable, same schema
};

struct Table {
  std::string name;
  int phase = 0; ///< the phase that creates it; 0: it is there before
  std::vector<Column> columns;
  std::vector<Constraint> constraints;
  std::vector<Index> indexes;
  std::string comment; ///< what \d+ says of it, where this declaration creates it
  std::vector<std::string>
      retired_columns; ///< columns that older attempts left; cleanup drops them
  // Observed only.
  char kind = 'r';    ///< pg_class.relkind
  bool logged = true; ///< its rows survive a crash

  const Column *column(std::string_view column_name) const noexcept;
  Column *column(std::string_view column_name) noexcept;
  /** Its primary key; null: none. */
  const Constraint *primary_key() const noexcept;
  /** The same table with the columns alone that the migration fills. */
  Table with_filled_columns() const;
};

/** Finds an index or constraint by its name; null: there is none. */
template <typename Object>
const Object *by_name(const std::vector<Object> &objects, const std::string &name) noexcept {
  for (const Object &each : objects)
    if (each.name == name)
      return &each;
  return nullptr;
}

struct Schema {
  std::vector<Table> tables;
  // Declared only.
  int version = 0;
  std::vector<Phase> phases{}; ///< that lead to it, in the order in which they run

  int last_phase() const noexcept { return static_cast<int>(phases.size()); }
  /** The last phase of a version; 0: of a version before all phases. */
  int last_phase_of(int wanted_version) const noexcept;
  /** The version that is complete when a phase is, and all before it. */
  int version_after(int phase) const noexcept;
  /** The last phase of the last version that derives rows from the sessions: what comes later
   *  changes the catalog alone. */
  int last_deriving_phase() const noexcept;

  const Table *table(std::string_view table_name) const noexcept;
  Table *table(std::string_view table_name) noexcept;
};

/** Writes an identifier for use in SQL, always quoted. */
std::string quote_identifier(std::string_view name);

/** Writes `schema.name` for use in SQL. */
std::string qualified(std::string_view schema, std::string_view name);

/** Writes a string literal for use in SQL. */
std::string quote_literal(std::string_view text);

/** `ARRAY['a', 'b']::text[]`. */
std::string text_array(const std::vector<std::string> &items);

} // namespace cowrie
