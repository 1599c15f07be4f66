// Existing objects: what exists of the declaration, and what else the application's own ORM and
// Python migration make with it.
#include "core/schema/existing_objects.hpp"

#include "core/base/text.hpp"

#include <algorithm>

namespace cowrie {
namespace {

bool is_among(const std::vector<ExistingObject> &known, ObjectType type, const std::string &table,
              const std::string &name) {
  return std::any_of(known.begin(), known.end(), [&](const ExistingObject &each) {
    return each.object_type == type && each.table == table && each.name == name;
  });
}

/** Adds the observed objects of one kind that a rule takes for a declared one, each once. */
template <typename Object, typename Rule>
void add_matching(std::vector<ExistingObject> &result, ObjectType type, const std::string &table,
                  const std::vector<Object> &observed, const Object &declared, Rule rule) {
  for (const Object &each : observed)
    if ((each.name == declared.name || rule(each)) && !is_among(result, type, table, each.name))
      result.push_back({type, table, each.name, declared.phase, declared.name});
}

/** Tells whether an observed foreign key is the declared one in whatever shape: with other actions,
 *  say. */
bool same_reference(const Constraint &declared, const Constraint &seen) {
  return declared.kind == ConstraintKind::foreign_key && seen.kind == declared.kind &&
         seen.columns == declared.columns && seen.target_table == declared.target_table;
}

void add_once(std::vector<ExistingObject> &result, ObjectType type, const Table &table,
              const std::string &name) {
  if (!is_among(result, type, table.name, name))
    result.push_back({type, table.name, name, table.phase, name});
}

void add_kept_table(std::vector<ExistingObject> &result, const Table &table, const Table &found,
                    int after_phase) {
  for (const Column &each : table.columns)
    if (each.phase > after_phase && found.column(each.name))
      result.push_back({ObjectType::column, table.name, each.name, each.phase, each.name});
  if (after_phase == 0)
    for (const std::string &retired : table.retired_columns)
      if (found.column(retired))
        result.push_back({ObjectType::column, table.name, retired, 1, retired});
  for (const Constraint &each : table.constraints)
    if (each.phase > after_phase)
      add_matching(result, ObjectType::constraint, table.name, found.constraints, each,
                   [&](const Constraint &seen) {
                     return same_constraint(each, seen) || same_reference(each, seen);
                   });
  for (const Index &each : table.indexes) {
    const bool ours = std::any_of(each.columns.begin(), each.columns.end(),
                                  [&](const IndexColumn &c) { return table.column(c.name); });
    if (each.phase > after_phase)
      add_matching(result, ObjectType::index, table.name, found.indexes, each,
                   [&](const Index &seen) { return ours && same_index(each, seen); });
  }
}

/** `organization_country` gives `asn_inventory_organization_country_check`: the name that the
 * server chooses for a CHECK without one. */
std::string default_check_name(const Table &table, const std::string &column) {
  return table.name + "_" + column + "_check";
}

/** Tells whether a constraint of a table that goes is what the application puts in the place of the
 *  declared one: any key, the CHECK in other words. */
bool stands_for(const Table &table, const Constraint &declared, const Constraint &seen) {
  if (same_constraint(declared, seen))
    return true;
  return seen.kind == declared.kind &&
         (declared.kind == ConstraintKind::primary_key ||
          (declared.kind == ConstraintKind::check && seen.columns == declared.columns &&
           seen.columns.size() == 1 &&
           seen.name == default_check_name(table, seen.columns.front())));
}

/** Tells whether a foreign key holds the declared tables together, as drafts of the application
 *  did: from declared columns to a table that goes later or stays. */
bool is_between_declared(const Schema &declared, const Table &table, const Constraint &seen) {
  const Table *target = declared.table(seen.target_table);
  return seen.kind == ConstraintKind::foreign_key && target && target->phase > 0 &&
         target->phase <= table.phase &&
         std::all_of(seen.columns.begin(), seen.columns.end(),
                     [&](const std::string &each) { return table.column(each); });
}

bool is_plain(const Index &index) {
  return index.ordinary && !index.unique && index.method == "btree" && index.predicate.empty();
}

/** Tells whether an index does the work of a declared one: its columns, in whatever direction. */
bool stands_for(const Index &declared, const Index &seen) {
  return same_index(declared, seen) ||
         (is_plain(seen) && declared.method == seen.method &&
          std::equal(seen.columns.begin(), seen.columns.end(), declared.columns.begin(),
                     declared.columns.end(),
                     [](const IndexColumn &a, const IndexColumn &b) { return a.name == b.name; }));
}

/** Tells whether the ORM has made this index: it names them `ix_<table>_…`, one column each. */
bool is_of_the_orm(const Table &table, const Index &seen) {
  return is_plain(seen) && seen.columns.size() == 1 && table.column(seen.columns.front().name) &&
         starts_with(seen.name, "ix_" + table.name + "_");
}

} // namespace

std::vector<ExistingObject> existing_objects(const Schema &declared, const Schema &observed,
                                             int after_phase) {
  std::vector<ExistingObject> result;
  for (const Table &table : declared.tables) {
    const Table *found = observed.table(table.name);
    if (!found)
      continue;
    if (table.phase > after_phase) // its parts go with it
      result.push_back({ObjectType::table, table.name, table.name, table.phase, table.name});
    else
      add_kept_table(result, table, *found, after_phase);
  }
  return result;
}

std::vector<ExistingObject> parts_of_existing_tables(const Schema &declared, const Schema &observed,
                                                     int after_phase) {
  std::vector<ExistingObject> result;
  for (const Table &table : declared.tables) {
    const Table *found = observed.table(table.name);
    if (!found || table.phase <= after_phase)
      continue;
    for (const Constraint &each : table.constraints)
      add_matching(result, ObjectType::constraint, table.name, found->constraints, each,
                   [&](const Constraint &seen) { return stands_for(table, each, seen); });
    for (const Constraint &seen : found->constraints)
      if (is_between_declared(declared, table, seen))
        add_once(result, ObjectType::constraint, table, seen.name);
    for (const Index &each : table.indexes)
      add_matching(result, ObjectType::index, table.name, found->indexes, each,
                   [&](const Index &seen) { return stands_for(each, seen); });
    for (const Index &seen : found->indexes)
      if (is_of_the_orm(table, seen))
        add_once(result, ObjectType::index, table, seen.name);
  }
  return result;
}

} // namespace cowrie
