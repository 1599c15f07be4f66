// Declaring: the words in which a version is declared.
//
// Error regime: plain data.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "core/schema/schema.hpp"

namespace cowrie::declaring {

inline constexpr const char *flag = "boolean";
inline constexpr const char *integer = "integer";
inline constexpr const char *json_document = "jsonb";
inline constexpr const char *text = "text";
inline constexpr const char *moment = "timestamp with time zone";
inline constexpr const char *ip_text = "character varying(45)";
inline constexpr const char *country_text = "character varying(2)";

enum Nullness : bool { nullable = false, not_null = true };

Column column(const char *name, const char *type, Nullness nullness = nullable,
              const char *default_sql = "");
/** A time that every row has. Where nothing else tells it, the row's other times do. */
Column seen(const char *name, const char *other);
Column formerly(Column made, const char *name);
/** A column that the migration leaves at its default, because only the application can fill it. */
Column application(Column made);
Column record_time(const char *name);
Column generated(const char *name, const char *type, std::string expression);

Index index(const char *name, std::vector<IndexColumn> columns, const char *method = "btree",
            const char *predicate = "");

Constraint primary_key(const char *name, std::vector<std::string> columns);
Constraint check(const char *name, std::vector<std::string> columns, std::string expression);
Constraint foreign_key(const char *name, const char *from, const char *table, const char *to);

/** An object of a phase that is not the one of its table. */
template <typename Object> Object in_phase(int phase, Object made) {
  made.phase = phase;
  return made;
}

/** Several of them. */
template <typename Object> std::vector<Object> in_phase(int phase, std::vector<Object> made) {
  for (Object &each : made)
    each.phase = phase;
  return made;
}

/** What a version adds to the one before: its phases in their order, and tables with what is new of
 *  them. A table that is there before has phase 0. An object that names no phase has that of its
 *  table. */
Schema version(int number, std::initializer_list<const char *> phase_names,
               std::vector<Table> tables);

} // namespace cowrie::declaring
