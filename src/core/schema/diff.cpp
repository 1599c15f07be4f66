// Schema diff: declared x observed -> findings.
#include "core/schema/diff.hpp"

#include <algorithm>

#include "core/base/text.hpp"
#include "core/schema/ddl.hpp"

namespace cowrie {

std::string_view name_of(Severity severity) noexcept {
  return severity == Severity::error ? "error" : "warning";
}

std::string_view name_of(ObjectType type) noexcept {
  switch (type) {
  case ObjectType::table:
    return "table";
  case ObjectType::column:
    return "column";
  case ObjectType::index:
    return "index";
  case ObjectType::constraint:
    return "constraint";
  case ObjectType::version:
    return "version";
  case ObjectType::data:
    return "data";
  }
  return "";
}

std::string_view name_of(Problem problem) noexcept {
  switch (problem) {
  case Problem::missing:
    return "missing";
  case Problem::wrong:
    return "wrong";
  case Problem::invalid:
    return "invalid";
  }
  return "";
}

std::string Finding::object_name() const {
  return object_type == ObjectType::column ? table + "." + object : object;
}

bool same_expression(const Expression &declared, const Expression &observed) noexcept {
  if (declared.empty() || observed.empty())
    return declared.empty() && observed.empty();
  if (declared.form.empty() || observed.form.empty())
    return false;
  return declared.form == observed.form;
}

namespace {

bool same_columns(const Index &a, const Index &b) noexcept {
  return std::equal(a.columns.begin(), a.columns.end(), b.columns.begin(), b.columns.end(),
                    [](const IndexColumn &left, const IndexColumn &right) {
                      return left.name == right.name && left.descending == right.descending;
                    });
}

} // namespace

bool same_index(const Index &declared, const Index &observed) noexcept {
  return observed.ordinary && observed.unique == declared.unique &&
         observed.method == declared.method && same_columns(declared, observed) &&
         same_expression(declared.predicate, observed.predicate);
}

bool same_constraint(const Constraint &declared, const Constraint &observed) noexcept {
  if (observed.kind != declared.kind || !observed.ordinary)
    return false;
  return declared.kind == ConstraintKind::check
             ? same_expression(declared.check, observed.check)
             : observed.columns == declared.columns &&
                   observed.target_table == declared.target_table &&
                   observed.target_columns == declared.target_columns;
}

const Index *same_definition(const Table &observed, const Index &declared) noexcept {
  const Index *found = nullptr;
  for (const Index &each : observed.indexes)
    // A valid one is preferred to an invalid one, the declared name to any other.
    if (same_index(declared, each) && (!found || (each.valid && !found->valid) ||
                                       (each.valid == found->valid && each.name == declared.name)))
      found = &each;
  return found;
}

namespace {

/** Tells whether it is the key of a partitioned table with the columns that it is partitioned by:
 *  the server has no other. */
bool is_key_with_more(const Table &observed, const Constraint &declared,
                      const Constraint &seen) noexcept {
  const auto &has = seen.columns;
  return observed.kind == 'p' && declared.kind == ConstraintKind::primary_key &&
         seen.kind == declared.kind && seen.ordinary &&
         std::all_of(declared.columns.begin(), declared.columns.end(), [&](const auto &each) {
           return std::find(has.begin(), has.end(), each) != has.end();
         });
}

} // namespace

const Constraint *same_definition(const Table &observed, const Constraint &declared) noexcept {
  const Constraint *found = nullptr;
  for (const Constraint &each : observed.constraints)
    if ((same_constraint(declared, each) || is_key_with_more(observed, declared, each)) &&
        (!found || (each.validated && !found->validated) ||
         (each.validated == found->validated && each.name == declared.name)))
      found = &each;
  return found;
}

bool forbids_rows(const Column &column) noexcept {
  return column.not_null && column.default_value.empty() && column.generated.empty();
}

namespace {

bool same_type(const Column &declared, const Column &observed) {
  return declared.type == observed.type ||
         std::find(declared.other_types.begin(), declared.other_types.end(), observed.type) !=
             declared.other_types.end();
}

/** What stands in an object's place: in the server's words where they are known. */
template <typename Object> std::string found_definition(const Object &object) {
  if (!object.shown.empty())
    return object.shown;
  return ddl::definition(object) + (object.ordinary ? "" : ", with properties of its own");
}

/** Compares one table; collects findings. */
class TableDiff {
public:
  TableDiff(const Table &declared, const Table &observed, const std::string &schema, int last_phase,
            std::vector<Finding> &findings)
      : declared_(declared), observed_(observed), schema_(schema), last_phase_(last_phase),
        findings_(findings) {}

  void run() {
    if (!observed_.logged)
      not_logged();
    for (const Column &each : declared_.columns)
      if (each.phase <= last_phase_)
        compare(each);
    // Columns of the user's are harmless, unless no row can be added without them.
    if (declared_.phase > 0)
      for (const Column &each : observed_.columns)
        if (!declared_.column(each.name) && forbids_rows(each))
          undeclared(each);
    for (const Constraint &each : declared_.constraints)
      if (each.phase <= last_phase_)
        compare(each);
    for (const Index &each : declared_.indexes)
      if (each.phase <= last_phase_)
        compare(each);
  }

private:
  Finding &add(ObjectType type, Problem problem, const std::string &name, int phase) {
    Finding finding;
    finding.object_type = type;
    finding.problem = problem;
    finding.table = declared_.name;
    finding.object = name;
    finding.phase = phase;
    findings_.push_back(std::move(finding));
    return findings_.back();
  }

  void not_logged() {
    Finding &finding = add(ObjectType::table, Problem::wrong, declared_.name, declared_.phase);
    finding.expected = "table";
    finding.actual = "unlogged table: empty after a crash";
    finding.remedy = ddl::set_logged(schema_, declared_.name);
  }

  void undeclared(const Column &column) {
    Finding &finding = add(ObjectType::column, Problem::wrong, column.name, declared_.phase);
    finding.expected = "not declared: nullable, or with a default";
    finding.actual = ddl::definition(column);
    finding.remedy = ddl::drop_not_null(schema_, declared_.name, column.name);
  }

  /** The meaning of an expression is known only where its columns are there with their types: what
   *  stands under the declared name is judged once they are. */
  static bool can_judge(const Expression &expression) {
    return expression.empty() || !expression.form.empty();
  }

  void compare(const Column &column) {
    const Column *found = observed_.column(column.name);
    if (!found) {
      Finding &finding = add(ObjectType::column, Problem::missing, column.name, column.phase);
      finding.expected = ddl::definition(column);
      finding.remedy = ddl::add_columns(schema_, declared_.name, {&column});
      return;
    }
    const bool typed = same_type(column, *found);
    const bool computed = same_expression(column.generated, found->generated);
    // Version 15 declares no defaults: whatever the application set is its own affair.
    const bool plain = declared_.phase == 0 && column.phase == 0
                           ? !column.not_null || found->not_null
                           : column.not_null == found->not_null &&
                                 same_expression(column.default_value, found->default_value);
    if (typed && computed && plain)
      return;
    Finding &finding = add(ObjectType::column, Problem::wrong, column.name, column.phase);
    finding.expected = ddl::definition(column);
    finding.actual = ddl::definition(*found);
    if (typed && computed)
      finding.remedy = ddl::alter_column(schema_, declared_.name, column, *found);
  }

  void compare(const Constraint &constraint) {
    const Constraint *same = same_definition(observed_, constraint);
    if (same && same->validated)
      return;
    const Constraint *found = same ? same : by_name(observed_.constraints, constraint.name);
    if (found && !same && found->kind == constraint.kind && found->columns == constraint.columns &&
        !can_judge(constraint.check))
      return;
    Finding &finding = add(ObjectType::constraint,
                           same    ? Problem::invalid
                           : found ? Problem::wrong
                                   : Problem::missing,
                           constraint.name, constraint.phase);
    finding.expected = ddl::definition(constraint);
    const std::string add_it =
        ddl::add_constraint(schema_, declared_.name, constraint,
                            observed_.kind == 'p' ? ddl::Validated::yes : ddl::Validated::no);
    if (same) {
      finding.actual = ddl::definition(*same) + " NOT VALID";
      finding.remedy = ddl::validate_constraint(schema_, declared_.name, same->name);
      finding.observed_name = same->name;
    } else if (found) {
      finding.actual = found_definition(*found);
      finding.remedy = ddl::drop_constraint(schema_, declared_.name, found->name) + "; " + add_it;
      finding.observed_name = found->name;
    } else {
      finding.remedy = add_it;
    }
  }

  void compare(const Index &index) {
    const Index *same = same_definition(observed_, index);
    if (same && same->valid)
      return;
    const Index *found = same ? same : by_name(observed_.indexes, index.name);
    if (found && !same && same_columns(*found, index) && !can_judge(index.predicate))
      return;
    Finding &finding = add(ObjectType::index,
                           same    ? Problem::invalid
                           : found ? Problem::wrong
                                   : Problem::missing,
                           index.name, index.phase);
    finding.expected = ddl::definition(index);
    const std::string create_it = ddl::create_index(schema_, declared_.name, index);
    if (found) {
      finding.actual = same ? "INVALID " + ddl::definition(*found) : found_definition(*found);
      // One of a partitioned table is INVALID where partitions lack it.
      finding.remedy = same && observed_.kind != 'p'
                           ? ddl::reindex_concurrently(schema_, found->name)
                           : ddl::drop_index(schema_, found->name) + "; " + create_it;
      finding.observed_name = found->name;
    } else {
      finding.remedy = create_it;
    }
  }

  const Table &declared_;
  const Table &observed_;
  const std::string &schema_;
  const int last_phase_;
  std::vector<Finding> &findings_;
};

} // namespace

std::vector<Finding> diff(const Schema &declared, const Schema &observed,
                          const std::string &schema_name, int last_phase) {
  std::vector<Finding> findings;
  for (const Table &table : declared.tables) {
    if (table.phase > last_phase)
      continue;
    const Table *found = observed.table(table.name);
    if (found && (found->kind == 'r' || found->kind == 'p')) {
      TableDiff(table, *found, schema_name, last_phase, findings).run();
      continue;
    }
    Finding finding;
    finding.table = finding.object = table.name;
    finding.phase = table.phase;
    finding.problem = found ? Problem::wrong : Problem::missing;
    finding.expected = "table";
    finding.actual = found ? std::string("relation of kind ") + found->kind : "";
    finding.remedy = found ? "" : ddl::create_table(schema_name, table);
    findings.push_back(std::move(finding));
  }
  return findings;
}

std::string summary_by_table(const std::vector<Finding> &findings) {
  std::vector<std::string> tables;
  for (const Finding &each : findings)
    if (each.severity == Severity::error && !each.table.empty() &&
        std::find(tables.begin(), tables.end(), each.table) == tables.end())
      tables.push_back(each.table);

  std::string result;
  for (const std::string &table : tables) {
    std::string line;
    for (Problem problem : {Problem::missing, Problem::wrong, Problem::invalid}) {
      std::string names;
      for (const Finding &each : findings)
        if (each.table == table && each.problem == problem && each.severity == Severity::error)
          append(names, each.object_type == ObjectType::table ? "the table" : each.object);
      if (!names.empty())
        append(line, std::string(name_of(problem)) + " " + names, "; ");
    }
    append(result, "Incomplete schema of \"" + table + "\": " + line, "\n");
  }
  return result;
}

} // namespace cowrie
