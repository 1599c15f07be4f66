// Every statement that changes or derives rows, finished, for one example:
// test/expected/statements.sql shows what a change of the source changes in the SQL.
//
// After a change that is meant: COWRIE_WRITE_EXPECTED=1 build/unit/unit_tests
// --gtest_filter='Statements*'
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <gtest/gtest.h>

#include "core/inspect/capacity_facts.hpp"
#include "core/inspect/expressions.hpp"
#include "core/inspect/refusals.hpp"
#include "core/inspect/state_row.hpp"
#include "core/inspect/replication.hpp"
#include "core/inspect/rewrite_way.hpp"
#include "core/inspect/validate.hpp"
#include "core/online/refusals.hpp"
#include "core/sql/carried_over.hpp"
#include "core/sql/dependents.hpp"
#include "core/sql/derivation.hpp"
#include "core/sql/evidence.hpp"
#include "core/sql/fill.hpp"
#include "core/sql/lock_holders.hpp"
#include "core/sql/online.hpp"
#include "core/sql/partitions.hpp"
#include "core/sql/run_objects.hpp"
#include "core/sql/unexplained_rows.hpp"
#include "fake_schema.hpp"

namespace cowrie::test {
namespace {

class Script {
public:
  void add(const std::string &title, const std::string &sql) {
    text_ += "-- " + title + "\n" + sql + ";\n\n";
  }
  void add(const std::string &title, const std::vector<std::string> &statements) {
    for (const std::string &each : statements)
      add(title, each);
  }
  const std::string &text() const { return text_; }

private:
  std::string text_;
};

void add_derivation(Script &script, const Target &target, const Table &declared,
                    const Table &base) {
  using namespace derivation;
  script.add("create_staging", create_staging(target));
  script.add("analyze_staging", analyze_staging(target));
  script.add("stage_from_documents", stage_from_documents(target, base));
  script.add("create_event_table", create_event_table(target));
  script.add("index_event_table", index_event_table(target));
  script.add("fill_by_rewrite",
             fill_by_rewrite(target, declared, base, {&declared.constraints.front()}));
  script.add("fill_rows, untouched", fill_rows(target, declared, base, FillScope::untouched));
  for (const Table &table : schema_v16().tables)
    if (table.phase > 0) {
      script.add("load_rows of " + table.name,
                 load_rows(target, table.name, OnExisting::none_there));
      for (const auto &[name, existing] :
           {std::pair("refresh", OnExisting::refresh), std::pair("keep", OnExisting::keep),
            std::pair("replace", OnExisting::replace)})
        script.add("load_rows of " + table.name + ", " + name,
                   load_rows(target, table.name, existing, {"rir_registry"}));
    }
  Target partitioned = target;
  partitioned.partitioned = true;
  script.add("fill_rows, partitioned", fill_rows(partitioned, declared, base, FillScope::any));
  script.add("load_chosen, partitioned", load_chosen(partitioned, false));
  script.add("load_rows of asn_inventory, partitioned",
             load_rows(partitioned, "asn_inventory", OnExisting::none_there));
  partitioned.sessions_indexed = false;
  script.add("load_rows of asn_inventory, partitioned, without index",
             load_rows(partitioned, "asn_inventory", OnExisting::none_there));
  script.add("choose_sessions", choose_sessions(target));
  script.add("chosen_fits", chosen_fits(target));
  script.add("load_chosen, fits", load_chosen(target, true));
  script.add("load_chosen, does not fit", load_chosen(target, false));
  script.add("add_missing_asns", add_missing_asns(target));
  script.add("fingerprint", fingerprint(target, base));
  script.add("stored_fingerprint", stored_fingerprint(target, base));
}

void add_online(Script &script, const Target &target, const Table &declared, const Table &base) {
  using namespace online;
  const std::vector<std::string> keys = {"s1", "s2"}, numbers = {"64500"};
  script.add("create_changes", create_changes(target));
  script.add("create_delta", create_delta(target));
  script.add("create_queue", create_queue(target, Decoded::no));
  script.add("create_queue, sent to nobody", create_queue(target, Decoded::yes));
  script.add("finish_queue, sent to nobody", finish_queue(target, Decoded::yes));
  script.add("sum_up_queue", sum_up_queue(target));
  script.add("create_trigger", create_trigger(target));
  script.add("drop_trigger", drop_trigger(target));
  script.add("find_objects", find_objects(target));
  script.add("mark_staging", mark_staging(target));
  script.add("staging_is_whole", staging_is_whole(target));
  script.add("count_places", count_places(target, {0, 500}));
  script.add("count_heap_only", count_heap_only(target, {}));
  script.add("fill_batch, keep",
             fill_batch(target, declared, base, {0, 500}, TakenSnapshots::keep));
  script.add("fill_batch, complete",
             fill_batch(target, declared, base, {0, 500}, TakenSnapshots::complete));
  script.add("fill_sessions", fill_sessions(target, declared, base, keys));
  script.add("read_sessions", read_sessions(target, declared, base, keys));
  script.add("unfilled_keys", unfilled_keys(target, declared, base, 20));
  script.add("orphan_keys", orphan_keys(target));
  script.add("read_changed_keys", read_changed_keys(target, 20000));
  script.add("places_of_keys", places_of_keys(target, "16384"));
  script.add("count_changed_keys", count_changed_keys(target));
  script.add("count_changed_keys_and_sessions", count_changed_keys_and_sessions(target));
  script.add("places_of_keys_with_address", places_of_keys_with_address(target));
  script.add("staged_keys", staged_keys(target, keys));
  script.add("unstage", unstage(target, keys));
  script.add("take_delta, asn", take_delta(target, "asn", numbers));
  script.add("take_delta, source_ip", take_delta(target, "source_ip", {"192.0.2.1"}));
  script.add("drop_gone, asn_inventory", drop_gone(target, "asn_inventory", &numbers));
  script.add("drop_gone, ip_inventory", drop_gone(target, "ip_inventory", nullptr));
  script.add("drop_history", drop_history(target, nullptr));
}

void add_partitions(Script &script, Target target, const Table &declared, const Table &base) {
  using namespace online;
  target.partitioned = true;
  const Places places = {0, 500, "\"cold\".\"sessions_1\""};
  script.add("create_queue, partitioned", create_queue(target, Decoded::no));
  script.add("sum_up_queue, partitioned", sum_up_queue(target));
  script.add("mark_staging, partitioned", mark_staging(target));
  script.add("staging_is_whole, partitioned", staging_is_whole(target));
  script.add("unknown_partitions", unknown_partitions(target));
  script.add("mark_partition", mark_partition(target, 16384));
  script.add("sessions_of_leaf", sessions_of_leaf(places.table));
  script.add("leaf_of_places", leaf_of_places(target, places));
  script.add("count_heap_only, of a leaf", count_heap_only(target, places));
  script.add("fill_batch, of a leaf",
             fill_batch(target, declared, base, places, TakenSnapshots::keep));
  script.add("list_leaf_indexes", list_leaf_indexes(target, "idx_session_source_ip"));
  script.add("rename_leaf_indexes", rename_leaf_indexes(target, "idx_session_source_ip"));
  script.add("list_leaf_foreign_keys", list_leaf_foreign_keys(target, "fk_session_source_ip"));
  script.add("loose_parts", loose_parts("'app.session_summaries'::regclass"));
}

void add_questions(Script &script, const Target &target, const Table &base) {
  const Schema declared = declared_v16();
  const Schema observed = observed_after(phase_count);
  for (const int phase : {0, 1, 3})
    script.add("unexplained_rows, to phase " + std::to_string(phase),
               unexplained_rows(target, {declared, observed, phase}, base));
  Target without_index = target;
  without_index.raw_events_indexed = false;
  script.add("unexplained_rows, raw_events without an index",
             unexplained_rows(without_index, {declared, observed, 0}, base));
  const Table &sessions = *schema_v16().table("session_summaries");
  script.add(
      "orphans_query",
      orphans_query(target, sessions, *by_name(sessions.constraints, "fk_session_source_ip")));
  script.add("taken_names_query", taken_names_query("('idx', 'ip_inventory')"));
  script.add("taken_constraints_query", taken_constraints_query("('fk', 'ip_inventory')"));
  script.add("type_names_query", type_names_query);
  script.add("room_for_columns_query", room_for_columns_query);
  script.add("invalid_unique_query", invalid_unique_query);
  script.add("state_columns_query", state_columns_query);
  script.add("state_checks_query", state_checks_query);
  script.add("firing_triggers_query", firing_triggers_query(text_array({"source_ip"})));
  script.add("index_expressions_query", index_expressions_query(target));
  script.add("checks_query", checks_query(target));
  script.add("row_type_users_query", row_type_users_query);
  script.add("carried_over_query", carried_over_query({"ip_types"}, {"ip_inventory_pkey"}));
  script.add("lock_holders_query, readers too",
             lock_holders_query(text_array({"session_summaries"}), true));
  script.add("lock_holders_query, writers",
             lock_holders_query(text_array({"session_summaries"}), false));
  script.add("run_objects::state_query", run_objects::state_query());
  script.add("evidence::sizes", evidence::sizes());
  script.add("evidence::filled_columns", evidence::filled_columns());
  script.add("evidence::filled_as_json",
             evidence::filled_as_json(qualified("app", "session_summaries"),
                                      {"source_ip", "snapshot_asn"}));
  script.add("evidence::settings", evidence::settings);
  script.add("alter_table_reason_query", alter_table_reason_query(target));
  script.add("wal_is_decoded_query", wal_is_decoded_query);
  script.add("published_query", published_query);
  script.add("sends_updates_query", sends_updates_query);
  script.add("published_by_name_query", published_by_name_query);
  script.add("referring_keys_query", referring_keys_query);
  script.add("subscribed_tables_query", subscribed_tables_query);
  script.add("sample_documents_query", sample_documents_query(target, 0.5));
  script.add("sessions_size_query", std::string(sessions_size_query));
  script.add("index_sizes_query", std::string(index_sizes_query));
  script.add("dependents_query", dependents_query("SELECT 1259::oid, 16384::oid, 0"));
}

std::string all_statements() {
  Target target = test_target();
  target.has_raw_events = target.raw_events_indexed = true;
  const Schema v15 = observed_after(0);
  const Table &declared = *schema_v16().table("session_summaries");
  const Table &base = *v15.table("session_summaries");
  Script script;
  add_derivation(script, target, declared, base);
  add_online(script, target, declared, base);
  add_partitions(script, target, declared, base);
  add_questions(script, target, base);
  return script.text();
}

TEST(Statements, AreAsExpected) {
  const char *path = SOURCE_DIRECTORY "/test/expected/statements.sql";
  if (std::getenv("COWRIE_WRITE_EXPECTED"))
    std::ofstream(path) << all_statements();
  std::ifstream file(path);
  std::stringstream expected;
  expected << file.rdbuf();
  ASSERT_TRUE(file) << path;
  EXPECT_EQ(all_statements(), expected.str());
}

TEST(Statements, HaveNoOpenHole) {
  const std::string text = all_statements();
  for (std::size_t at = text.find('{'); at != std::string::npos; at = text.find('{', at + 1)) {
    const std::size_t close = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at + 1);
    const std::string name = text.substr(at, close - at + 1);
    // `'{spur}'` is a path into a document.
    EXPECT_FALSE(name.size() > 2 && name.back() == '}' && text[at - 1] != '\'') << name;
  }
}

TEST(Fill, FillsEveryHoleOnce) {
  EXPECT_EQ(sql::fill("SELECT {what} FROM {what}", {{"what", "{x}"}}), "SELECT {x} FROM {x}");
  EXPECT_EQ(sql::fill("'{}' '{a,b}' {", {}), "'{}' '{a,b}' {");
}

TEST(Fill, KnowsTheTarget) {
  EXPECT_EQ(sql::fill(test_target(), "{sessions} {cowrie_latest} enrichment::{document_type}"),
            R"("public"."session_summaries" "ext"."cowrie_latest" enrichment::json)");
}

TEST(Fill, RefusesAnOpenHole) {
  EXPECT_THROW(sql::fill("{what}", {}), std::logic_error);
  EXPECT_THROW(sql::fill(test_target(), "{what}"), std::logic_error);
}

TEST(Fill, RefusesAnUnknownHole) {
  EXPECT_THROW(sql::fill("SELECT", {{"what", "1"}}), std::logic_error);
}

} // namespace
} // namespace cowrie::test
