// Plan: what kind of database this is, and the steps from there to version 16 and back.
#include "core/plan/unfit_column.hpp"
#include "core/plan/plan.hpp"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "core/schema/ddl.hpp"
#include "core/plan/cleanup.hpp"
#include "core/plan/effort.hpp"
#include "core/plan/step_names.hpp"
#include "fake_schema.hpp"

namespace cowrie {
namespace {

using test::contains;
using test::declared_v16;
using test::erase_named;
using test::find_named;
using test::observed_after;
using test::starts_with;
using test::test_target;

Situation assess_it(const Schema &observed, int version, std::optional<int> subphase = {}) {
  return classify(declared_v16(), observed, "public", version, subphase);
}

std::vector<Step> plan_of(const Schema &observed, const Situation &situation) {
  return plan_migration(declared_v16(), observed, test_target(), situation);
}

std::vector<Step> fresh_plan() {
  const Schema observed = observed_after(0);
  return plan_of(observed, assess_it(observed, 15));
}

std::vector<Step> cleanup_of(const Schema &observed, int to_phase) {
  return plan_cleanup(declared_v16(), observed, test_target(), to_phase);
}

std::vector<std::string> names_of(const std::vector<Step> &steps) {
  std::vector<std::string> names;
  for (const Step &each : steps)
    names.push_back(each.name);
  return names;
}

/** The position of a step; fails the test where there is none. */
std::size_t position(const std::vector<Step> &steps, const std::string &name) {
  const std::vector<std::string> names = names_of(steps);
  const auto found = std::find(names.begin(), names.end(), name);
  EXPECT_NE(found, names.end()) << name;
  return static_cast<std::size_t>(found - names.begin());
}

long count_of(const std::vector<Step> &steps, StepKind kind) {
  return std::count_if(steps.begin(), steps.end(),
                       [&](const Step &each) { return each.kind == kind; });
}

void expect_known_names(const std::vector<Step> &steps) {
  const std::set<std::string> known(step_names().begin(), step_names().end());
  for (const Step &each : steps)
    EXPECT_EQ(known.count(each.name), 1u) << each.name;
}

const Finding *version_finding(const Situation &situation) {
  for (const Finding &each : situation.findings)
    if (each.object_type == ObjectType::version)
      return &each;
  return nullptr;
}

TEST(Assess, KnowsVersion15) {
  const Situation found = assess_it(observed_after(0), 15);
  EXPECT_EQ(found.state, SchemaState::version15);
  EXPECT_TRUE(found.objects.empty());
  EXPECT_EQ(found.version, 15);
}

TEST(Assess, KnowsACompleteDatabase) {
  for (int version : {16, 17, 42}) {
    const Situation found = assess_it(observed_after(phase_count), version, phase_count);
    EXPECT_EQ(found.state, SchemaState::complete) << version;
    EXPECT_TRUE(found.findings.empty()) << version;
  }
}

TEST(Assess, KnowsEachPhaseToResumeAfter) {
  for (int phase = 1; phase < phase_count; ++phase) {
    EXPECT_EQ(assess_it(observed_after(phase), 15, phase).state, SchemaState::resumable) << phase;
    EXPECT_EQ(assess_it(observed_after(phase), 15, phase + 1).state, SchemaState::incomplete)
        << "recorded more than is there: " << phase;
    EXPECT_EQ(assess_it(observed_after(phase), 15, phase - 1).state, SchemaState::incomplete)
        << "more is there than recorded: " << phase;
    EXPECT_EQ(assess_it(observed_after(phase), 15).state, SchemaState::incomplete) << phase;
    EXPECT_EQ(assess_it(observed_after(phase), 16, phase).state, SchemaState::incomplete) << phase;
  }
}

TEST(Assess, ResumesBesideAnIndexOfTheUsersOnEventTimes) {
  Schema observed = observed_after(2);
  Index brin = *find_named(declared_v16().table("session_summaries")->indexes,
                           "idx_session_last_event_brin");
  brin.name = "my_brin";
  observed.table("session_summaries")->indexes.push_back(brin);
  EXPECT_EQ(assess_it(observed, 15, 2).state, SchemaState::resumable);
}

TEST(Assess, CallsAnythingElseIncomplete) {
  Schema observed = observed_after(0);
  EXPECT_EQ(assess_it(observed, 16).state, SchemaState::incomplete);
  EXPECT_EQ(assess_it(observed, 15, 1).state, SchemaState::incomplete);
  EXPECT_EQ(assess_it(observed, 17, 5).state, SchemaState::incomplete);
  Column retired;
  retired.name = "snapshot_ip_types";
  observed.table("session_summaries")->columns.push_back(retired);
  EXPECT_EQ(assess_it(observed, 15).state, SchemaState::incomplete);

  observed = observed_after(phase_count);
  EXPECT_EQ(assess_it(observed, 15, 5).state, SchemaState::incomplete);
  EXPECT_EQ(assess_it(observed, 16, 4).state, SchemaState::incomplete);
  find_named(observed.table("asn_inventory")->columns, "asn_type")->type = "jsonb";
  EXPECT_EQ(assess_it(observed, 16, 5).state, SchemaState::incomplete);

  observed = observed_after(3);
  erase_named(observed.table("asn_inventory")->indexes, "idx_asn_type");
  EXPECT_EQ(assess_it(observed, 15, 3).state, SchemaState::incomplete);
}

TEST(Assess, CountsPhasesAgainstTheRecordedVersion) {
  const Situation nothing = assess_it(observed_after(0), 16);
  ASSERT_TRUE(version_finding(nothing));
  EXPECT_EQ(version_finding(nothing)->actual, "version 16 recorded, 0 of 5 phases present");
  EXPECT_EQ(version_finding(nothing)->expected, "version 16 recorded, 5 of 5 phases present");
  EXPECT_EQ(version_finding(nothing)->object, "schema_version");
  EXPECT_EQ(version_finding(nothing)->problem, Problem::wrong);

  for (int version : {15, 16})
    for (int phase = 1; phase < phase_count; ++phase) {
      const Situation part = assess_it(observed_after(phase), version);
      ASSERT_TRUE(version_finding(part)) << phase;
      EXPECT_EQ(version_finding(part)->actual, "version " + std::to_string(version) +
                                                   " recorded, " + std::to_string(phase) +
                                                   " of 5 phases present");
    }
}

TEST(Assess, FindsAMissingSubphaseOfAWholeSchema) {
  const Situation found = assess_it(observed_after(phase_count), 16);
  EXPECT_EQ(found.state, SchemaState::incomplete);
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings.front().object, "schema_subphase");
  EXPECT_EQ(found.findings.front().problem, Problem::missing);
  EXPECT_EQ(found.findings.front().expected, "16.5");
}

TEST(PlanMigration, RunsThePhasesInOrder) {
  const std::vector<Step> steps = fresh_plan();
  ASSERT_FALSE(steps.empty());
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end(),
                             [](const Step &a, const Step &b) { return a.phase < b.phase; }));
  std::set<int> phases;
  for (const Step &each : steps)
    phases.insert(each.phase);
  EXPECT_EQ(phases, (std::set<int>{1, 2, 3, 4, 5}));
  EXPECT_EQ(steps.front().name, "add_columns");
  EXPECT_EQ(steps.back().kind, StepKind::set_version);
  EXPECT_EQ(steps[steps.size() - 2].kind, StepKind::zero_loss_gate);
  EXPECT_EQ(steps[steps.size() - 3].kind, StepKind::verify);
}

TEST(PortionsOf, EveryStepHasItsPartAndTheFillMostOfIt) {
  const std::vector<Step> steps = fresh_plan();
  const std::vector<Portion> at_once = portions_of(steps, Filling::at_once);
  ASSERT_EQ(at_once.size(), steps.size());
  double all = 0, fill = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(at_once[i].step, steps[i].name);
    EXPECT_GT(at_once[i].effort, 0) << steps[i].name;
    all += at_once[i].effort;
    if (steps[i].kind == StepKind::fill_sessions) {
      fill = at_once[i].effort;
      EXPECT_GT(at_once[i].counted, fill / 2);
      EXPECT_LT(at_once[i].counted, fill); // indexes are built after the last row
    } else {
      EXPECT_EQ(at_once[i].counted, 0) << steps[i].name;
    }
  }
  EXPECT_GT(fill, all / 3);
  EXPECT_LT(fill, all);

  const std::vector<Portion> batches = portions_of(steps, Filling::in_batches);
  ASSERT_EQ(batches.size(), steps.size() + 1);
  const auto queued = std::find_if(batches.begin(), batches.end(), [](const Portion &each) {
    return each.step == "queue_sessions";
  });
  ASSERT_LT(queued, batches.end() - 1);
  EXPECT_EQ((queued + 1)->step, "fill_columns");
  EXPECT_GT((queued + 1)->effort, fill);
  EXPECT_EQ((queued + 1)->counted, (queued + 1)->effort);
}

TEST(PlanMigration, FillsInOneRewriteAndNoUpdate) {
  const std::vector<Step> steps = fresh_plan();
  EXPECT_EQ(count_of(steps, StepKind::fill_sessions), 1);
  EXPECT_EQ(count_of(steps, StepKind::fill_new_rows), 0);
  for (const Step &step : steps)
    for (const std::string &sql : step.statements)
      EXPECT_FALSE(starts_with(sql, "UPDATE")) << step.name;
  const Step &fill = steps[position(steps, "fill_columns")];
  EXPECT_TRUE(fill.heap_only);
  EXPECT_EQ(fill.detail, "heap only, TOAST kept");
  ASSERT_EQ(fill.statements.size(), 1u);
  const Table declared = *schema_v16().table("session_summaries");
  EXPECT_EQ(fill.statements.front(),
            ddl::add_constraint("public", "session_summaries", declared.constraints.front()));
}

TEST(PlanMigration, FillsByAlterTableWhereTheHeapCannotBeCopiedAlone) {
  RowFacts facts;
  facts.alter_table_reason = "the table is not logged";
  const Schema observed = observed_after(0);
  const std::vector<Step> steps =
      plan_migration(declared_v16(), observed, test_target(), assess_it(observed, 15), facts);
  const Step &fill = steps[position(steps, "fill_columns")];
  EXPECT_FALSE(fill.heap_only);
  EXPECT_EQ(fill.detail, "by ALTER TABLE: the table is not logged");
  ASSERT_EQ(fill.statements.size(), 1u);
  EXPECT_TRUE(contains(fill.statements.front(), R"(ADD CONSTRAINT "snapshot_country_iso" CHECK)"));
  for (const Column &each : schema_v16().table("session_summaries")->columns)
    EXPECT_TRUE(contains(fill.statements.front(),
                         "ALTER COLUMN \"" + each.name + "\" TYPE " + each.type + " USING "));
}

TEST(UnfitColumn, IsOneThatMustBeConvertedOrCannotBeReadAsItIs) {
  const Table declared = *schema_v16().table("session_summaries");
  const Table fit = *observed_after(0).table("session_summaries");
  EXPECT_EQ(unfit_column(declared, fit), "");
  EXPECT_EQ(unfit_column(declared, *observed_after(1).table("session_summaries")), "");
  const auto with_type = [&](const std::string &column, const std::string &type) {
    Table changed = fit;
    if (Column *found = changed.column(column)) {
      found->type = type;
    } else {
      Column added;
      added.name = column;
      added.type = type;
      changed.columns.push_back(added);
    }
    return unfit_column(declared, changed);
  };
  for (const auto &[column, type] : std::vector<std::pair<std::string, std::string>>{
           {"session_id", "text"},
           {"session_id", "character varying(64) COLLATE \"C\""},
           {"enrichment", "jsonb"},
           {"created_at", "timestamp without time zone"},
           {"first_event_at", "timestamp(3) with time zone"},
           {"snapshot_asn", "integer"}})
    EXPECT_EQ(with_type(column, type), "") << column << " " << type;
  for (const auto &[column, type] :
       std::vector<std::pair<std::string, std::string>>{{"session_id", "uuid"},
                                                        {"session_id", "app.session"},
                                                        {"enrichment", "app.document"},
                                                        {"last_event_at", "date"},
                                                        {"created_at", "text"},
                                                        {"source_ip", "inet"},
                                                        {"source_ip", "text"},
                                                        {"snapshot_asn", "bigint"}})
    EXPECT_EQ(with_type(column, type), "column \"" + column + "\" is of type " + type);
  EXPECT_EQ(with_type(declared.retired_columns.front(), "text[]"),
            "column \"" + declared.retired_columns.front() +
                "\" has values from an earlier attempt");
  Table without = fit;
  erase_named(without.columns, "created_at");
  EXPECT_EQ(unfit_column(declared, without), "column \"created_at\" does not exist");
  Table generated = fit;
  generated.columns.push_back(*declared.column("snapshot_country"));
  generated.columns.back().generated.sql = "upper(matcher)";
  EXPECT_EQ(unfit_column(declared, generated), "column \"snapshot_country\" is generated");
}

TEST(PlanMigration, MakesKeysAndIndexesAfterTheRows) {
  const std::vector<Step> steps = fresh_plan();
  for (const Table &table : schema_v16().tables) {
    if (table.phase == 0)
      continue;
    const std::size_t load = position(steps, "load_" + table.name);
    EXPECT_LT(position(steps, "create_" + table.name), load);
    for (const Constraint &each : table.constraints)
      EXPECT_LT(load, position(steps, each.name));
    for (const Index &each : table.indexes) {
      EXPECT_LT(load, position(steps, each.name));
      const Step &step = steps[position(steps, each.name)];
      EXPECT_EQ(step.kind, StepKind::create_index);
      EXPECT_EQ(step.columns.size(), each.columns.size());
    }
    // Rows that cannot be there yet need no search for conflicts.
    EXPECT_FALSE(contains(steps[load].statements.front(), "ON CONFLICT")) << table.name;
    EXPECT_LT(load, position(steps, "analyze_" + table.name));
  }
}

TEST(PlanMigration, AddsForeignKeysLastAndValidatesThemAfterwards) {
  const std::vector<Step> steps = fresh_plan();
  for (const char *key : {"fk_session_source_ip", "fk_ip_current_asn"}) {
    const Step &add = steps[position(steps, key)];
    EXPECT_EQ(add.phase, 5);
    EXPECT_TRUE(contains(add.statements.front(), " NOT VALID"));
    EXPECT_LT(position(steps, key), position(steps, std::string("validate_") + key));
  }
  for (const Step &step : steps)
    for (const std::string &sql : step.statements)
      if (step.phase < 5) {
        EXPECT_FALSE(contains(sql, "REFERENCES")) << step.name;
      }
}

// Before PostgreSQL 18 a partitioned table takes no foreign key NOT VALID.
TEST(PlanMigration, AddsTheForeignKeyOfPartitionedSessionsValidated) {
  Target target = test_target();
  target.partitioned = true;
  const Schema observed = observed_after(0);
  const std::vector<Step> steps =
      plan_migration(declared_v16(), observed, target, assess_it(observed, 15));
  EXPECT_FALSE(
      contains(steps[position(steps, "fk_session_source_ip")].statements.front(), "NOT VALID"));
  const std::vector<std::string> names = names_of(steps);
  EXPECT_EQ(std::count(names.begin(), names.end(), "validate_fk_session_source_ip"), 0);
  EXPECT_EQ(std::count(names.begin(), names.end(), "validate_fk_ip_current_asn"), 1);
}

TEST(PlanMigration, ResumesAtTheNextPhase) {
  for (int phase = 1; phase < phase_count; ++phase) {
    const Schema observed = observed_after(phase);
    const std::vector<Step> steps = plan_of(observed, assess_it(observed, 15, phase));
    ASSERT_FALSE(steps.empty());
    for (const Step &each : steps)
      EXPECT_GT(each.phase, phase) << each.name;
    EXPECT_EQ(steps.front().kind, StepKind::fill_new_rows) << phase;
    EXPECT_EQ(count_of(steps, StepKind::fill_sessions), 0) << phase;
    EXPECT_EQ(steps.back().kind, StepKind::set_version) << phase;
    for (const Table &table : schema_v16().tables)
      if (table.phase > 0 && table.phase <= phase) {
        const Step &refresh = steps[position(steps, "refresh_" + table.name)];
        EXPECT_TRUE(contains(refresh.statements.front(), "ON CONFLICT")) << table.name;
      }
    expect_known_names(steps);
  }
}

TEST(PlanMigration, RepairCreatesOnlyWhatIsMissing) {
  Schema observed = observed_after(phase_count);
  Table &addresses = *observed.table("ip_inventory");
  erase_named(addresses.columns, "geo_country");
  erase_named(addresses.indexes, "idx_ip_geo_country");
  find_named(addresses.indexes, "idx_ip_current_asn")->valid = false;
  erase_named(addresses.constraints, "session_count_not_negative");
  find_named(addresses.constraints, "fk_ip_current_asn")->validated = false;
  const std::vector<Step> steps = plan_of(observed, assess_it(observed, 16));

  std::vector<std::string> changes;
  for (const Step &each : steps)
    if (!starts_with(each.name, "load_") && !starts_with(each.name, "analyze_"))
      changes.push_back(each.name);
  EXPECT_EQ(changes,
            (std::vector<std::string>{
                "drop_fk_session_source_ip", "drop_fk_ip_current_asn", "fill_columns",
                "repair_ip_inventory", "session_count_not_negative", "add_missing_asns",
                "drop_idx_ip_current_asn", "idx_ip_current_asn", "idx_ip_geo_country",
                "fk_session_source_ip", "validate_fk_session_source_ip", "fk_ip_current_asn",
                "validate_fk_ip_current_asn", "verify", "zero_loss_gate", "set_version"}));
  for (const Step &step : steps)
    for (const std::string &sql : step.statements) {
      EXPECT_FALSE(contains(sql, "DROP TABLE")) << step.name;
      EXPECT_FALSE(contains(sql, "DROP COLUMN")) << step.name;
      EXPECT_FALSE(starts_with(sql, "DELETE")) << step.name;
    }
  const std::string &load = steps[position(steps, "load_ip_inventory")].statements.front();
  EXPECT_TRUE(contains(load, "ON CONFLICT"));
  expect_known_names(steps);
}

TEST(PlanMigration, RepairMendsNullnessAndDefault) {
  Schema observed = observed_after(phase_count);
  Table &addresses = *observed.table("ip_inventory");
  find_named(addresses.columns, "session_count")->default_value = {};
  find_named(addresses.columns, "session_count")->not_null = false;
  const std::vector<Step> steps = plan_of(observed, assess_it(observed, 16, 5));
  const Step &step = steps[position(steps, "alter_session_count")];
  // Once the sessions have told what they can.
  EXPECT_GT(position(steps, "alter_session_count"), position(steps, "load_ip_inventory"));
  ASSERT_EQ(step.statements.size(), 2u);
  EXPECT_EQ(step.statements.front(), R"(UPDATE "public"."ip_inventory" SET "session_count" = 1)"
                                     R"( WHERE "session_count" IS NULL)");
  EXPECT_EQ(step.statements.back(),
            R"(ALTER TABLE "public"."ip_inventory" ALTER COLUMN "session_count" SET DEFAULT 1,)"
            R"( ALTER COLUMN "session_count" SET NOT NULL)");
}

TEST(PlanCleanup, DropsBackwards) {
  const std::vector<Step> steps = cleanup_of(observed_after(phase_count), 0);
  ASSERT_FALSE(steps.empty());
  EXPECT_EQ(steps.front().name, "drop_fk_session_source_ip");
  EXPECT_EQ(steps.back().name, "drop_columns");
  EXPECT_LT(position(steps, "drop_ip_asn_history"), position(steps, "drop_ip_inventory"));
  EXPECT_LT(position(steps, "drop_ip_inventory"), position(steps, "drop_asn_inventory"));
  for (const Index &each : schema_v16().table("session_summaries")->indexes)
    EXPECT_LT(position(steps, "drop_" + each.name), steps.size() - 1);
  for (const Column &each : schema_v16().table("session_summaries")->columns)
    EXPECT_TRUE(contains(steps.back().statements.front(), "DROP COLUMN \"" + each.name + "\""));
  for (const Step &step : steps)
    for (const std::string &sql : step.statements)
      EXPECT_FALSE(contains(sql, "CASCADE")) << step.name;
  expect_known_names(steps);
}

TEST(PlanCleanup, StopsAtTheEndOfAPhase) {
  for (int phase = 0; phase <= phase_count; ++phase) {
    const std::vector<Step> steps = cleanup_of(observed_after(phase_count), phase);
    for (const Step &each : steps)
      EXPECT_GT(each.phase, phase) << each.name;
    EXPECT_EQ(steps.empty(), phase == phase_count);
    EXPECT_TRUE(cleanup_of(observed_after(phase), phase).empty()) << phase;
  }
  EXPECT_EQ(names_of(cleanup_of(observed_after(phase_count), 4)),
            (std::vector<std::string>{"drop_fk_session_source_ip", "drop_fk_ip_current_asn"}));
}

TEST(PlanCleanup, DropsTheRetiredColumnAndLeavesVersion15Alone) {
  Schema observed = observed_after(0);
  EXPECT_TRUE(cleanup_of(observed, 0).empty());
  Column retired;
  retired.name = "snapshot_ip_types";
  observed.table("session_summaries")->columns.push_back(retired);
  const std::vector<Step> steps = cleanup_of(observed, 0);
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps.front().statements.front(),
            R"(ALTER TABLE "public"."session_summaries" DROP COLUMN "snapshot_ip_types")");
}

// The status shows a step as its number in step_names(): a name of the user's own has none.
TEST(PlanCleanup, NamesItsStepsByTheDeclarationWhateverTheObjectIsCalled) {
  Schema observed = observed_after(phase_count);
  find_named(observed.table("session_summaries")->indexes, "idx_session_source_ip")->name = "mine";
  const std::vector<Step> steps = cleanup_of(observed, 0);
  EXPECT_TRUE(std::any_of(steps.begin(), steps.end(), [](const Step &each) {
    return each.statements.front() == R"(DROP INDEX "public"."mine")";
  }));
  expect_known_names(steps);
}

// DROP COLUMN takes only the checks along that mention the column.
TEST(PlanCleanup, DropsADeclaredCheckThatIsOnAnotherColumn) {
  Schema observed = observed_after(0);
  Constraint check;
  check.name = "snapshot_country_iso";
  check.columns = {"event_count"};
  check.check = {"event_count >= 0", "{event_count >= 0}"};
  observed.table("session_summaries")->constraints.push_back(check);
  const std::vector<Step> steps = cleanup_of(observed, 0);
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps.front().statements.front(),
            R"(ALTER TABLE "public"."session_summaries" DROP CONSTRAINT "snapshot_country_iso")");
}

TEST(StepNames, CoverAFreshPlan) { expect_known_names(fresh_plan()); }

/** Tells whether the name stands anywhere outside quotes: once unquoted, it breaks a statement. */
bool quoted_everywhere(std::string sql, const std::string &schema) {
  const std::string right = quote_identifier(schema);
  for (std::size_t at; (at = sql.find(right)) != std::string::npos;)
    sql.erase(at, right.size());
  return !contains(sql, "x'y");
}

TEST(Plans, QuoteASchemaWithQuotes) {
  Target target = test_target();
  target.schema = "x'y\"z";
  target.has_raw_events = true;
  const Schema declared = declared_v16();
  std::vector<Step> steps;
  const auto collect = [&](const std::vector<Step> &more) {
    steps.insert(steps.end(), more.begin(), more.end());
  };
  for (int phase = 0; phase <= phase_count; ++phase) {
    const Schema observed = observed_after(phase);
    const std::optional<int> subphase = phase ? std::optional<int>(phase) : std::nullopt;
    collect(plan_migration(declared, observed, target,
                           classify(declared, observed, target.schema, 15, subphase)));
    collect(plan_cleanup(declared, observed, target, 0));
  }
  std::size_t statements = 0;
  for (const Step &step : steps)
    for (const std::string &sql : step.statements) {
      EXPECT_TRUE(contains(sql, R"("x'y""z".)")) << sql;
      EXPECT_TRUE(quoted_everywhere(sql, target.schema)) << sql;
      ++statements;
    }
  EXPECT_GT(statements, 50u);
  for (const Finding &each : diff(declared, observed_after(0), target.schema))
    EXPECT_TRUE(quoted_everywhere(each.remedy, target.schema)) << each.remedy;
}

} // namespace
} // namespace cowrie
