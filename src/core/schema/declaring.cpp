// Declaring: the words in which a version is declared.
#include "core/schema/declaring.hpp"

namespace cowrie::declaring {

Column column(const char *name, const char *type, Nullness nullness, const char *default_sql) {
  Column made;
  made.name = name;
  made.type = type;
  made.not_null = nullness;
  made.default_value.sql = default_sql;
  return made;
}

Column seen(const char *name, const char *other) {
  Column made = column(name, moment, not_null);
  made.fallback = "COALESCE(" + std::string(other) + ", created_at, now())";
  return made;
}

Column formerly(Column made, const char *name) {
  made.former_names = {name};
  return made;
}

Column application(Column made) {
  made.filled_by = FilledBy::application;
  return made;
}

Column record_time(const char *name) {
  Column made = column(name, moment, not_null, "now()");
  made.filled_by = FilledBy::clock;
  return made;
}

Column generated(const char *name, const char *type, std::string expression) {
  Column made = column(name, type);
  made.generated.sql = std::move(expression);
  return made;
}

Index index(const char *name, std::vector<IndexColumn> columns, const char *method,
            const char *predicate) {
  Index made;
  made.name = name;
  made.method = method;
  made.columns = std::move(columns);
  made.predicate.sql = predicate;
  return made;
}

Constraint primary_key(const char *name, std::vector<std::string> columns) {
  Constraint made;
  made.name = name;
  made.kind = ConstraintKind::primary_key;
  made.columns = std::move(columns);
  return made;
}

Constraint check(const char *name, std::vector<std::string> columns, std::string expression) {
  Constraint made;
  made.name = name;
  made.columns = std::move(columns);
  made.check.sql = std::move(expression);
  return made;
}

Constraint foreign_key(const char *name, const char *from, const char *table, const char *to) {
  Constraint made;
  made.name = name;
  made.kind = ConstraintKind::foreign_key;
  made.columns = {from};
  made.target_table = table;
  made.target_columns = {to};
  return made;
}

namespace {

template <typename Object> void complete_phases(std::vector<Object> &objects, int phase) {
  for (Object &each : objects)
    each.phase = each.phase ? each.phase : phase;
}

} // namespace

Schema version(int number, std::initializer_list<const char *> phase_names,
               std::vector<Table> tables) {
  Schema made{std::move(tables)};
  made.version = number;
  for (const char *each : phase_names)
    made.phases.push_back({number, made.last_phase() + 1, each});
  for (Table &each : made.tables) {
    complete_phases(each.columns, each.phase);
    complete_phases(each.constraints, each.phase);
    complete_phases(each.indexes, each.phase);
  }
  return made;
}

} // namespace cowrie::declaring
