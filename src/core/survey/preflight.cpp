// Preflight: whether a migration would work, what it would cost, what it would make of the data.
#include "core/survey/preflight.hpp"

#include <cmath>
#include <optional>

#include "core/base/figures.hpp"
#include "core/base/text.hpp"
#include "core/inspect/capacity.hpp"
#include "core/inspect/estimates.hpp"
#include "core/inspect/expressions.hpp"
#include "core/inspect/refusals.hpp"
#include "core/inspect/replication.hpp"
#include "core/inspect/rewrite_way.hpp"
#include "core/inspect/row_conflicts.hpp"
#include "core/inspect/state_row.hpp"
#include "core/plan/plan.hpp"
#include "core/sql/derivation.hpp"
#include "core/survey/assessment_query.hpp"

namespace cowrie {
namespace {

// As many are read within minutes; of more, a part, within seconds.
constexpr std::int64_t most_sessions = 5'000'000;
constexpr std::int64_t sample_of_many = 100'000;

std::string about(std::int64_t bytes) { return "about " + size_pretty(bytes); }

/** `00:12:34` */
std::string clock(std::int64_t microseconds) {
  const std::int64_t seconds = (microseconds + 999'999) / 1'000'000;
  const auto two = [](std::int64_t value) {
    return (value < 10 ? "0" : "") + std::to_string(value);
  };
  return two(seconds / 3600) + ":" + two(seconds / 60 % 60) + ":" + two(seconds % 60);
}

class PreflightRun {
public:
  PreflightRun(Database &database, const PreflightOptions &options)
      : database_(database), target_(database.target()), options_(options) {}

  std::vector<Hazard> run() {
    if (!attempt([this] { inspection_ = inspect(database_); }))
      return std::move(found_);
    if (inspection_.situation.state == SchemaState::complete) {
      add(HazardSeverity::info, hazards::nothing_to_do,
          "schema version " + std::to_string(target_.version) + " is complete", "");
      return std::move(found_);
    }
    attempt([this] { refuse_unusable_indexes(database_); });
    attempt([this] { refuse_unwritable_state(database_); });
    RowFacts rows;
    if (attempt([this] { refuse_incomplete(target_, inspection_.situation); }) ||
        attempt([&] { // what a repair refuses
          refuse_losses(database_, inspection_);
          rows = row_facts(database_, inspection_);
        }))
      refused_plan(rows);
    attempt([this] { refuse_published_state(database_); });
    attempt([this] { refuse_subscribed_inventories(database_); });
    attempt([this] { refuse_duplicates(database_); });
    // What the sample tells refuses, as in the migration; the documents tell more.
    std::optional<CapacityFacts> facts;
    std::vector<Way> fitting;
    attempt([&] { facts = read_capacity(database_); });
    for (const Way way : {Way::atomic, Way::online})
      if (facts && attempt([&] {
            if (way == Way::atomic ||
                !inspection_.situation.online.any()) // one that has begun fits
              refuse_full_disk(database_, inspection_, *facts, way);
          }))
        fitting.push_back(way);
    if (!inspection_.situation.derived) // else no document is read
      attempt([&] { documents(facts.value_or(CapacityFacts())).improve(facts); });
    if (facts)
      attempt([&] { capacity(*facts, fitting); });
    return std::move(found_);
  }

private:
  /** What refuses a plan, of a repair where one is needed. */
  void refused_plan(RowFacts &rows) {
    std::vector<Step> plan;
    attempt([&] {
      if (rows.fill_by == FillBy::rewrite)
        rows.alter_table_reason = alter_table_reason(database_);
      plan = plan_migration(inspection_.declared, inspection_.observed, target_,
                            inspection_.situation, rows);
    });
    attempt([&] { refuse_row_type_users(database_, plan); });
    attempt([&] { refuse_taken_names(database_, plan); });
    for (const char *each :
         {derivation::staging_table, derivation::event_table, derivation::chosen_table})
      attempt([&] { has_work_table(database_, each); });
  }

  // What stops several parts is said once.
  void add(HazardSeverity severity, const char *hazard, std::string detail, std::string remedy) {
    for (const Hazard &each : found_)
      if (each.hazard == hazard && each.detail == detail)
        return;
    found_.push_back({severity, hazard, std::move(detail), std::move(remedy)});
  }

  /** Runs a part with the tables locked for reading, and keeps no lock. */
  template <typename Part> bool attempt(Part part) {
    return guarded([&] { database_.in_passing(part); });
  }

  /** Runs a part; what it refuses becomes a row. */
  template <typename Part> bool guarded(Part part) {
    try {
      part();
      return true;
    } catch (const Failure &failure) {
      if (failure.must_propagate)
        throw;
      if (!failure.hint.empty() && !failure.detail.empty()) // one of our own
        found_.push_back(blocker(failure));
      else if (failure.sqlstate == sqlstate::insufficient_privilege)
        add(HazardSeverity::info, hazards::not_visible, failure.message, "");
      else
        add(HazardSeverity::warning, hazards::unreadable, failure.sqlstate + ": " + failure.message,
            starts_with(failure.sqlstate, "XX") // damage: which row it is
                ? "CREATE EXTENSION IF NOT EXISTS amcheck; SELECT * FROM verify_heapam(" +
                      quote_literal(qualified(target_.schema, "session_summaries")) +
                      ", check_toast => true);"
                : "");
      return false;
    }
  }

  /** What it will cost, by what is known now. */
  void capacity(const CapacityFacts &facts, const std::vector<Way> &fitting) {
    const Need need = need_of(facts, inspection_);
    const bool derives = !inspection_.situation.derived; // else the catalog alone changes
    if (derives)
      add(HazardSeverity::info, hazards::tables,
          about(need.tables) + " for the new copy of session_summaries and the inventories; the "
                               "old copy is freed at commit",
          "");
    add(HazardSeverity::info, hazards::indexes,
        about(need.indexes) + " for the indexes, which are all built again", "");
    add(HazardSeverity::info, hazards::wal,
        about(need.wal) + " of WAL, of which pg_wal holds up to " + size_pretty(need.wal_kept) +
            " at a time",
        "");
    if (derives)
      add(HazardSeverity::info, hazards::temporary,
          about(need.temporary) + " for the work table and for sorts, during the run", "");
    for (const Way way : fitting)
      free_space(way, need_of(facts, inspection_, way));
    if (facts.sampled > 0 && derives)
      add(HazardSeverity::info, hazards::duration,
          "about " + clock(need.duration_us) + " for " + std::to_string(need.sessions) +
              " sessions; " + std::to_string(std::llround(facts.sampled)) +
              " of them were read in " + std::to_string(std::llround(facts.sample_us / 1000)) +
              " ms",
          "");
  }

  /** A row for each file system, of one way of migrating that fits. */
  void free_space(Way way, const Need &need) {
    for (const DiskNeed &each : disk_needs(need, database_.disks())) {
      const bool close = is_hardly_enough(each);
      add(close ? HazardSeverity::warning : HazardSeverity::info, hazards::free_space,
          in_words(way) + ": " + each.detail,
          close ? how_to_make_room(target_) +
                      "  -- only if the operating system reports too little free space: SET"
                      " cowrie_migrate.free_space = '" +
                      std::to_string(megabytes_that_suffice(each.need)) + "MB';"
                : "");
    }
  }

  /** What the documents tell better than the small sample did. */
  struct DocumentCounts {
    std::optional<double> ips, asns;

    void improve(std::optional<CapacityFacts> &facts) const {
      if (!facts || !ips)
        return;
      facts->ips = *ips;
      facts->asns = *asns;
    }
  };

  /** The part of the sessions that is read. */
  double share_of(double sessions) const {
    const std::int64_t wanted = options_.sample >= 0                     ? options_.sample
                                : std::llround(sessions) > most_sessions ? sample_of_many
                                                                         : 0;
    return wanted > 0 && std::llround(sessions) > wanted ? static_cast<double>(wanted) / sessions
                                                         : 1;
  }

  /** Reads the documents that the run will read, all of them or a part. */
  DocumentCounts documents(const CapacityFacts &facts) {
    const double share = share_of(facts.sessions);
    const bool resuming = inspection_.situation.state == SchemaState::resumable;
    const Amounts amounts = assess_sessions(
        database_, *inspection_.observed.table("session_summaries"),
        resuming ? SessionsAssessed::unfilled_sessions : SessionsAssessed::all_sessions, share);
    // Of a part, what it makes of all.
    const std::int64_t read = amounts.of(Measure::sessions);
    const double scale = share < 1 && read > 0 ? facts.sessions / static_cast<double>(read) : 1;
    const auto of = [&](Measure measure) {
      return std::llround(static_cast<double>(amounts.of(measure)) * scale);
    };
    if (share < 1)
      add(HazardSeverity::info, hazards::sampled,
          std::to_string(read) + " of about " + std::to_string(std::llround(facts.sessions)) +
              " sessions were read; the figures below are extrapolated from them",
          "SET cowrie_migrate.preflight_sample = 0;  -- reads all of them");
    missing_index();
    coverage(amounts, of);
    rejects(amounts, scale);
    no_source_ip(amounts, of(Measure::no_source_ip));
    null_escapes(amounts, of(Measure::null_escapes));
    encoded_twice(amounts, of(Measure::encoded_twice));
    if (share < 1 || resuming)
      return {};
    return {static_cast<double>(amounts.of(Measure::distinct_ips)),
            static_cast<double>(amounts.of(Measure::distinct_asns))};
  }

  void missing_index() {
    if (!target_.sessions_indexed)
      add(HazardSeverity::warning, hazards::no_session_index,
          "no index of the partitions of session_summaries leads with session_id: each look-up of a"
          " session reads them all, and an online migration looks up every session",
          target_.index_sessions);
    if (target_.has_raw_events && !target_.raw_events_indexed)
      add(HazardSeverity::warning, hazards::no_index,
          "raw_events, or a child of it, has no index on session_id: the migration reads and sorts "
          "all of it, and"
          " sessions that need it count as sessions without source IP here",
          target_.index_raw_events);
  }

  void rejects(const Amounts &amounts, double scale) {
    for (std::size_t i = 0; i < reject_reason_count; ++i) {
      const std::string reason(reject_reason_name(static_cast<RejectReason>(i)));
      const Amounts::Amount &values = amounts.of(reason);
      if (values.amount > 0)
        add(HazardSeverity::info, reason.c_str(),
            std::to_string(std::llround(static_cast<double>(values.amount) * scale)) +
                " values cannot be used; they are left unchanged. Examples are in sessions " +
                values.examples,
            target_.command("cowrie_rejected_values", "max_rows => 100"));
    }
  }

  void no_source_ip(const Amounts &amounts, std::int64_t sessions) {
    if (sessions > 0)
      add(HazardSeverity::info, hazards::no_source_ip,
          std::to_string(sessions) +
              " sessions will have no source_ip: neither their document nor their raw events have "
              "one. Examples: " +
              amounts.of(name_of(Measure::no_source_ip)).examples,
          "SELECT session_id FROM " + qualified(target_.schema, "session_summaries") +
              " WHERE source_ip IS NULL;  -- after the migration");
  }

  void null_escapes(const Amounts &amounts, std::int64_t documents) {
    if (documents > 0)
      add(HazardSeverity::info, hazards::null_escapes,
          std::to_string(documents) +
              " documents contain \\u0000, for which the server's operator -> raises an error; the"
              " migration can read them. Examples are in sessions " +
              amounts.of(name_of(Measure::null_escapes)).examples,
          "");
  }

  void encoded_twice(const Amounts &amounts, std::int64_t documents) {
    const std::string table = qualified(target_.schema, "session_summaries");
    if (documents > 0)
      add(HazardSeverity::warning, hazards::encoded_twice,
          std::to_string(documents) +
              " documents are JSON strings that contain JSON: they have been encoded twice, and "
              "the migration reads no values from them. Examples are in sessions " +
              amounts.of(name_of(Measure::encoded_twice)).examples,
          "UPDATE " + table + " SET enrichment = (enrichment #>> '{}')::" + target_.document_type +
              R"( WHERE enrichment::text ~ '^\s*"\s*\{';  -- if the application can read it then)");
  }

  template <typename Of> void coverage(const Amounts &amounts, Of of) {
    const auto percent = [](std::int64_t part, std::int64_t whole) {
      return cowrie::percent(whole > 0 ? static_cast<double>(part) / static_cast<double>(whole)
                                       : 1);
    };
    const auto with = [&](Measure measure) {
      return std::to_string(of(measure)) + " (" + percent(of(measure), of(Measure::sessions)) + ")";
    };
    const std::int64_t ips = amounts.of(Measure::distinct_ips);
    const std::int64_t with_ip = of(Measure::source_ips);
    const std::int64_t all_ips = distinct_in_all(with_ip, amounts.of(Measure::source_ips), ips,
                                                 amounts.of(Measure::ips_once));
    add(HazardSeverity::info, hazards::coverage,
        "of " + std::to_string(of(Measure::sessions)) + " sessions " +
            std::to_string(of(Measure::documents)) + " have a document, " +
            with(Measure::source_ips) + " get a source IP, " + with(Measure::asns) + " an ASN, " +
            with(Measure::countries) + " a country, " + with(Measure::ip_types) + " an IP type; " +
            std::to_string(all_ips) + " IPs. Expected: ip_coverage " +
            percent(amounts.of(Measure::covered_ips), ips) + " (target 90 %), api_call_reduction " +
            percent(with_ip - all_ips, with_ip) + " (target 75 %)",
        "");
  }

  Database &database_;
  const Target &target_;
  const PreflightOptions options_;
  Inspection inspection_;
  std::vector<Hazard> found_;
};

} // namespace

Hazard blocker(const Failure &refusal) {
  return {HazardSeverity::blocker, refusal.message, refusal.detail, refusal.hint};
}

std::vector<Hazard> inspect_tables(Database &database, const PreflightOptions &options) {
  return PreflightRun(database, options).run();
}

} // namespace cowrie
