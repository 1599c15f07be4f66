// Schema diff: every declared object is missed when it is gone, noticed when it is another, and
// nothing else is.
#include "core/schema/diff.hpp"

#include <algorithm>
#include <functional>
#include <ostream>

#include <gtest/gtest.h>

#include "fake_schema.hpp"

namespace cowrie {
namespace {

using test::declared_v16;
using test::erase_named;
using test::find_named;
using test::observed_after;

std::vector<Finding> diff_of(const Schema &observed, int last_phase = phase_count) {
  return diff(declared_v16(), observed, "public", last_phase);
}

/** One change to a whole database, and the one finding it must give. */
struct Case {
  std::string name;
  std::function<void(Schema &)> change;
  ObjectType type;
  Problem problem;
  std::string table;
  std::string object;
  int phase;
};

void PrintTo(const Case &each, std::ostream *out) { *out << each.name; }

/** Collects the cases of one declared table. */
class Cases {
public:
  Cases(std::vector<Case> &cases, const Table &table) : cases_(cases), table_(table) {}

  void add_all() {
    add("missing", ObjectType::table, Problem::missing, table_.name, table_.phase,
        [name = table_.name](Schema &schema) { erase_named(schema.tables, name); });
    add("is_a_view", ObjectType::table, Problem::wrong, table_.name, table_.phase,
        [name = table_.name](Schema &schema) { schema.table(name)->kind = 'v'; });
    for (const Column &each : table_.columns)
      add_column(each);
    for (const Constraint &each : table_.constraints)
      add_constraint(each);
    for (const Index &each : table_.indexes)
      add_index(each);
  }

private:
  void add(const std::string &what, ObjectType type, Problem problem, const std::string &object,
           int phase, std::function<void(Schema &)> change) {
    const std::string prefix = type == ObjectType::table ? "" : object + "_";
    cases_.push_back({table_.name + "_" + prefix + what, std::move(change), type, problem,
                      table_.name, object, phase});
  }

  /** Adds a case that takes an object out of one of the lists of its table. */
  template <typename Object>
  void add_missing(ObjectType type, std::vector<Object> Table::*list, const Object &object) {
    add("missing", type, Problem::missing, object.name, object.phase,
        [table = table_.name, list, name = object.name](Schema &schema) {
          erase_named(schema.table(table)->*list, name);
        });
  }

  template <typename Object>
  void add_changed(const std::string &what, ObjectType type, Problem problem,
                   std::vector<Object> Table::*list, const Object &object,
                   std::function<void(Object &)> change) {
    add(what, type, problem, object.name, object.phase,
        [table = table_.name, list, name = object.name, change](Schema &schema) {
          change(*find_named(schema.table(table)->*list, name));
        });
  }

  void add_column(const Column &column) {
    add_missing(ObjectType::column, &Table::columns, column);
    const auto wrong = [&](const std::string &what, std::function<void(Column &)> change) {
      add_changed<Column>(what, ObjectType::column, Problem::wrong, &Table::columns, column,
                          std::move(change));
    };
    wrong("of_another_type", [](Column &each) { each.type = "inet"; });
    wrong("of_other_nullness", [](Column &each) { each.not_null = !each.not_null; });
    wrong("with_another_default", [](Column &each) { each.default_value = {"42", "{42}"}; });
    if (!column.default_value.empty())
      wrong("without_default", [](Column &each) { each.default_value = {}; });
    wrong("generated_otherwise", [](Column &each) { each.generated = {"NULL", "{NULL}"}; });
    if (!column.generated.empty())
      wrong("not_generated", [](Column &each) { each.generated = {}; });
  }

  void add_constraint(const Constraint &constraint) {
    add_missing(ObjectType::constraint, &Table::constraints, constraint);
    const auto change = [&](const std::string &what, Problem problem,
                            std::function<void(Constraint &)> body) {
      add_changed<Constraint>(what, ObjectType::constraint, problem, &Table::constraints,
                              constraint, std::move(body));
    };
    change("not_valid", Problem::invalid, [](Constraint &each) { each.validated = false; });
    change("unusual", Problem::wrong, [](Constraint &each) { each.ordinary = false; });
    if (constraint.kind == ConstraintKind::check) {
      change("of_another_expression", Problem::wrong,
             [](Constraint &each) { each.check.form = "{true}"; });
      return;
    }
    change("on_another_column", Problem::wrong,
           [](Constraint &each) { each.columns.back() = "elsewhere"; });
    change("of_another_kind", Problem::wrong,
           [](Constraint &each) { each.kind = ConstraintKind::check; });
    if (constraint.kind != ConstraintKind::foreign_key)
      return;
    change("to_another_table", Problem::wrong,
           [](Constraint &each) { each.target_table = "elsewhere"; });
    change("to_another_column", Problem::wrong,
           [](Constraint &each) { each.target_columns.front() = "elsewhere"; });
  }

  void add_index(const Index &index) {
    add_missing(ObjectType::index, &Table::indexes, index);
    const auto change = [&](const std::string &what, Problem problem,
                            std::function<void(Index &)> body) {
      add_changed<Index>(what, ObjectType::index, problem, &Table::indexes, index, std::move(body));
    };
    change("invalid", Problem::invalid, [](Index &each) { each.valid = false; });
    change("unusual", Problem::wrong, [](Index &each) { each.ordinary = false; });
    change("unique", Problem::wrong, [](Index &each) { each.unique = !each.unique; });
    change("of_another_method", Problem::wrong, [](Index &each) { each.method = "hash"; });
    change("on_another_column", Problem::wrong,
           [](Index &each) { each.columns.front().name = "elsewhere"; });
    change("with_one_more_column", Problem::wrong,
           [](Index &each) { each.columns.push_back({"extra"}); });
    change("ordered_otherwise", Problem::wrong,
           [](Index &each) { each.columns.front().descending = !each.columns.front().descending; });
    change("of_another_predicate", Problem::wrong, [](Index &each) {
      each.predicate = {"false", "{false}"};
    });
  }

  std::vector<Case> &cases_;
  const Table &table_;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const Table &table : schema_v16().tables)
    Cases(cases, table).add_all();
  return cases;
}

class OneDifference : public testing::TestWithParam<Case> {};

TEST_P(OneDifference, IsOneFinding) {
  const Case &expected = GetParam();
  Schema observed = observed_after(phase_count);
  expected.change(observed);

  const std::vector<Finding> findings = diff_of(observed);
  ASSERT_EQ(findings.size(), 1u);
  const Finding &found = findings.front();
  EXPECT_EQ(found.severity, Severity::error);
  EXPECT_EQ(found.object_type, expected.type);
  EXPECT_EQ(found.problem, expected.problem);
  EXPECT_EQ(found.table, expected.table);
  EXPECT_EQ(found.object, expected.object);
  EXPECT_EQ(found.phase, expected.phase);
  EXPECT_FALSE(found.expected.empty());
  EXPECT_EQ(found.actual.empty(), expected.problem == Problem::missing);
  EXPECT_FALSE(found.loses_data);
  if (expected.problem == Problem::missing) {
    EXPECT_FALSE(found.remedy.empty());
  }
  EXPECT_EQ(found.object_name(), expected.type == ObjectType::column
                                     ? expected.table + "." + expected.object
                                     : expected.object);
}

TEST_P(OneDifference, IsNoneBeforeItsPhase) {
  const Case &expected = GetParam();
  Schema observed = observed_after(phase_count);
  expected.change(observed);
  if (expected.phase > 0) {
    EXPECT_TRUE(diff_of(observed, expected.phase - 1).empty());
  }
  EXPECT_EQ(diff_of(observed, expected.phase).size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Declaration, OneDifference, testing::ValuesIn(all_cases()),
                         [](const auto &info) { return info.param.name; });

// A user who reads "expected x, actual x" learns nothing.
TEST(SchemaDiff, NeverDescribesAWrongObjectAsTheExpectedOne) {
  Schema observed = observed_after(phase_count);
  Table &addresses = *observed.table("ip_inventory");
  find_named(addresses.constraints, "fk_ip_current_asn")->ordinary = false;
  find_named(addresses.indexes, "idx_ip_current_asn")->ordinary = false;
  const std::vector<Finding> findings = diff_of(observed);
  ASSERT_EQ(findings.size(), 2u);
  for (const Finding &each : findings)
    EXPECT_NE(each.actual, each.expected) << each.object;
}

TEST(SchemaDiff, FindsNothingInAnEqualSchema) {
  EXPECT_TRUE(diff_of(observed_after(phase_count)).empty());
}

TEST(SchemaDiff, FindsNothingOfThePhasesThatAreThere) {
  for (int phase = 0; phase < phase_count; ++phase) {
    EXPECT_TRUE(diff_of(observed_after(phase), phase).empty()) << phase;
    EXPECT_FALSE(diff_of(observed_after(phase), phase + 1).empty()) << phase;
  }
}

TEST(SchemaDiff, FindsNothingInASoundVersion15) {
  EXPECT_TRUE(diff(schema_v15(), observed_after(0), "public").empty());
  // Its documents may be jsonb and its times without zone; a default is the application's affair.
  Schema observed = observed_after(0);
  Table &sessions = *observed.table("session_summaries");
  find_named(sessions.columns, "enrichment")->type = "jsonb";
  find_named(sessions.columns, "first_event_at")->type = "timestamp without time zone";
  find_named(sessions.columns, "event_count")->default_value = {"0", "{0}"};
  EXPECT_TRUE(diff(schema_v15(), observed, "public").empty());
  find_named(sessions.columns, "event_count")->not_null = false;
  EXPECT_EQ(diff(schema_v15(), observed, "public").size(), 1u);
}

TEST(SchemaDiff, CountsTheSameDefinitionUnderAnyName) {
  Schema observed = observed_after(phase_count);
  for (Table &table : observed.tables) {
    for (Constraint &each : table.constraints)
      each.name = "my_" + each.name;
    for (Index &each : table.indexes)
      each.name = "my_" + each.name;
  }
  EXPECT_TRUE(diff_of(observed).empty());
}

TEST(SchemaDiff, MendsWhatItFindsUnderAnotherName) {
  Schema observed = observed_after(phase_count);
  Table &sessions = *observed.table("session_summaries");
  const auto key = find_named(sessions.constraints, "fk_session_source_ip");
  key->name = "my_key";
  key->validated = false;
  const auto index = find_named(sessions.indexes, "idx_session_source_ip");
  index->name = "my_index";
  index->valid = false;

  const std::vector<Finding> findings = diff_of(observed);
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0].object, "fk_session_source_ip");
  EXPECT_EQ(findings[0].observed_name, "my_key");
  EXPECT_EQ(findings[0].remedy,
            R"(ALTER TABLE "public"."session_summaries" VALIDATE CONSTRAINT "my_key")");
  EXPECT_EQ(findings[1].problem, Problem::invalid);
  EXPECT_EQ(findings[1].observed_name, "my_index");
  EXPECT_EQ(findings[1].remedy, R"(REINDEX INDEX CONCURRENTLY "public"."my_index")");
}

TEST(SchemaDiff, PrefersTheSoundOneOfTwo) {
  Schema observed = observed_after(phase_count);
  Table &sessions = *observed.table("session_summaries");
  Index copy = *find_named(sessions.indexes, "idx_session_source_ip");
  find_named(sessions.indexes, "idx_session_source_ip")->valid = false;
  copy.name = "my_index";
  sessions.indexes.push_back(copy);
  Constraint check = *find_named(sessions.constraints, "snapshot_country_iso");
  find_named(sessions.constraints, "snapshot_country_iso")->validated = false;
  check.name = "my_check";
  sessions.constraints.push_back(check);
  EXPECT_TRUE(diff_of(observed).empty());
}

TEST(SchemaDiff, IgnoresWhatIsNotDeclared) {
  Schema observed = observed_after(phase_count);
  for (Table &table : observed.tables) {
    Column column;
    column.name = "mine";
    column.type = "text";
    table.columns.insert(table.columns.begin(), column);
    Index index;
    index.name = "my_index";
    index.columns = {{"mine"}};
    index.valid = false;
    table.indexes.push_back(index);
    Constraint check;
    check.name = "my_check";
    check.check = {"true", "{true}"};
    check.validated = false;
    table.constraints.push_back(check);
  }
  EXPECT_TRUE(diff_of(observed).empty());
}

TEST(SchemaDiff, ReportsAColumnWithoutWhichNoRowCanBeAdded) {
  Schema observed = observed_after(phase_count);
  Column column;
  column.name = "mine";
  column.type = "text";
  column.not_null = true;
  for (Table &table : observed.tables)
    table.columns.push_back(column);
  std::vector<Finding> findings = diff_of(observed);
  ASSERT_EQ(findings.size(), 3u); // what version 15 has is the application's own affair
  EXPECT_EQ(findings.front().object_name(), "asn_inventory.mine");
  EXPECT_EQ(findings.front().problem, Problem::wrong);
  EXPECT_EQ(findings.front().remedy,
            R"(ALTER TABLE "public"."asn_inventory" ALTER COLUMN "mine" DROP NOT NULL)");

  for (Table &table : observed.tables)
    table.column("mine")->default_value = {"''", "{''}"};
  EXPECT_TRUE(diff_of(observed).empty());
}

TEST(SchemaDiff, ComparesExpressionsByForm) {
  EXPECT_TRUE(same_expression({"a > 0", "{OP 1}"}, {"(a > 0)", "{OP 1}"}));
  EXPECT_FALSE(same_expression({"a > 0", "{OP 1}"}, {"a > 0", "{OP 2}"}));
  EXPECT_TRUE(same_expression({}, {}));
  EXPECT_FALSE(same_expression({"a > 0", "{OP 1}"}, {}));
  EXPECT_FALSE(same_expression({}, {"a > 0", "{OP 1}"}));
  // Text proves nothing where the server was not asked.
  EXPECT_FALSE(same_expression({"a > 0", ""}, {"a > 0", ""}));
  EXPECT_FALSE(same_expression({"a > 0", "{OP 1}"}, {"a > 0", ""}));
}

TEST(Present, IsNothingAtVersion15AndAfterTheLastPhase) {
  for (int phase = 0; phase <= phase_count; ++phase)
    EXPECT_TRUE(existing_objects(declared_v16(), observed_after(phase), phase).empty()) << phase;
}

TEST(Present, ListsWhatIsThereInWhateverShape) {
  Schema observed = observed_after(0);
  Table &sessions = *observed.table("session_summaries");
  Column column;
  column.name = "source_ip";
  column.type = "inet";
  sessions.columns.push_back(column);
  column.name = "snapshot_ip_types";
  sessions.columns.push_back(column);
  Table inventory;
  inventory.name = "ip_inventory";
  observed.tables.push_back(inventory);

  const std::vector<ExistingObject> found = existing_objects(declared_v16(), observed);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].name, "source_ip");
  EXPECT_EQ(found[0].object_type, ObjectType::column);
  EXPECT_EQ(found[1].name, "snapshot_ip_types");
  EXPECT_EQ(found[1].phase, 1);
  EXPECT_EQ(found[2].object_type, ObjectType::table);
  EXPECT_EQ(found[2].phase, 3);
}

TEST(Present, KnowsAnotherNameOnlyOnColumnsOfVersion16) {
  Schema observed = observed_after(0);
  Table &sessions = *observed.table("session_summaries");
  Index brin = *find_named(declared_v16().table("session_summaries")->indexes,
                           "idx_session_first_event_brin");
  brin.name = "my_brin";
  sessions.indexes.push_back(brin);
  EXPECT_TRUE(existing_objects(declared_v16(), observed).empty());

  sessions.indexes.back().name = "idx_session_first_event_brin";
  ASSERT_EQ(existing_objects(declared_v16(), observed).size(), 1u);
  EXPECT_EQ(existing_objects(declared_v16(), observed).front().phase, 4);

  Schema whole = observed_after(4);
  find_named(whole.table("session_summaries")->indexes, "idx_session_source_ip")->name = "mine";
  const std::vector<ExistingObject> later = existing_objects(declared_v16(), whole, 3);
  EXPECT_TRUE(std::any_of(later.begin(), later.end(),
                          [](const ExistingObject &each) { return each.name == "mine"; }));
}

TEST(SummaryByTable, IsALinePerTableWithErrors) {
  Schema observed = observed_after(phase_count);
  Table &addresses = *observed.table("ip_inventory");
  erase_named(addresses.columns, "geo_country");
  erase_named(addresses.columns, "ip_types");
  find_named(addresses.columns, "enrichment")->type = "json";
  find_named(addresses.indexes, "idx_ip_current_asn")->valid = false;
  erase_named(observed.tables, "ip_asn_history");
  std::vector<Finding> findings = diff_of(observed);
  Finding warning;
  warning.severity = Severity::warning;
  warning.table = "asn_inventory";
  findings.push_back(warning);

  EXPECT_EQ(summary_by_table(findings),
            "Incomplete schema of \"ip_inventory\": missing geo_country, ip_types;"
            " wrong enrichment; invalid idx_ip_current_asn\n"
            "Incomplete schema of \"ip_asn_history\": missing the table");
  EXPECT_EQ(summary_by_table({}), "");
}

} // namespace
} // namespace cowrie
