// An online migration in memory: the fake database with transactions, the queue of sessions, the
// trigger with its notes, and the memory of the ledger.
//
// It refuses every statement that it does not know, and takes back what a failed transaction did.
#pragma once

#include <algorithm>
#include <set>

#include "core/online/online_run.hpp"
#include "core/online/refusals.hpp"
#include "core/sql/lock_holders.hpp"
#include "fake_database.hpp"

namespace cowrie::test {

/** What a rollback takes back beside the State. */
struct OnlineParts {
  std::int64_t trigger = 0;  ///< its OID
  std::int64_t changes = 0;  ///< OID of the table of notes
  bool queue_edited = false; ///< somebody has changed keys of the queue
  bool changes_table = false, staged = false, staging_whole = false;
  std::vector<std::string> notes;    ///< keys; the place of a note is its key
  std::set<std::string> unfilled;    ///< sessions that have come after the trigger has gone
  std::vector<std::int64_t> batches; ///< the last place of every batch
  Queue queue;
  std::optional<OnlineState> memory; ///< what the row of the last run remembers
  std::int64_t staged_anew = 0;      ///< how often all sessions were staged from their documents
  std::int64_t worked_off = 0;       ///< notes
};

class FakeOnline : public FakeDatabase,
                   public OnlineMemory,
                   public OnlineMonitor,
                   public Operator,
                   public Surroundings,
                   public Transactions {
public:
  explicit FakeOnline(int last_phase = 0) : FakeDatabase(last_phase, online_target()) {}

  static Target online_target() {
    Target target = test_target();
    target.entry = Entry::online; // as find_target() has it for the procedure
    return target;
  }

  OnlineParts parts;
  std::int64_t sessions = 600;
  std::int64_t writes_per_round = 0;  ///< what the trigger notes while a round is worked off
  std::int64_t inserts_per_pass = 0;  ///< what comes while fill_rest fills what has come
  bool fires_always = true;           ///< the trigger is as it was made
  bool changes_moved = false;         ///< VACUUM FULL has been at the table of notes
  std::vector<std::string> orphaned;  ///< sessions whose address has no row
  bool name_taken = false;            ///< somebody else's table has the name of that for the notes
  bool queue_name_taken = false;      ///< or that of the queue
  bool stays_in_page = false;         ///< every row, when it is filled
  std::vector<Row> update_triggers;   ///< the user's own
  std::vector<LockWait> lock_waits;   ///< as the status was told of them
  int lock_attempts = 100;            ///< cowrie_migrate.lock_attempts
  std::vector<std::int64_t> pauses;   ///< between attempts and batches
  std::vector<TransactionKind> kinds; ///< of the transactions, as they began
  std::vector<std::string> alone;     ///< statements in a process of their own
  std::function<void(TransactionKind)> before_transaction; ///< may throw, may change the parts
  std::function<void(const std::string &)> before_fill;    ///< likewise
  std::function<bool()> asks_to_stop;
  std::function<void()> before_orders; ///< somebody may order something
  Orders ordered;
  std::function<Load()> around; ///< what others have to bear
  std::vector<HoldReason> held; ///< as the status was told
  std::size_t transaction = 0;

  struct Placed {
    std::size_t transaction;
    TransactionKind kind;
    std::string sql;
  };
  std::vector<Placed> executed;

  OnlinePorts ports() { return {*this, *this, *this, *this, *this, *this, *this, *this}; }
  bool migrate(const OnlineOptions &options = {}) { return migrate_online(ports(), options); }

  static std::string key(std::int64_t i) {
    const std::string digits = std::to_string(i);
    return "s" + std::string(6 - digits.size(), '0') + digits;
  }

  std::vector<std::string> steps() const {
    std::vector<std::string> result;
    for (const LedgerRow &each : state.ledger)
      if (each.kind == "step" && !each.step.step.empty())
        result.push_back(each.step.step);
    return result;
  }

  // Transactions
  void in_transaction(TransactionKind kind, const std::function<void()> &body) override {
    ++transaction;
    kinds.push_back(kind);
    if (kind == TransactionKind::look) { // changes nothing
      if (before_transaction)
        before_transaction(kind);
      return body();
    }
    const State before = state;
    const OnlineParts parts_before = parts;
    const bool trigger_before = online_trigger;
    try {
      if (before_transaction)
        before_transaction(kind);
      body();
    } catch (...) {
      state = before;
      parts = parts_before;
      online_trigger = trigger_before;
      throw;
    }
  }
  std::int64_t settled_until_us() override { return clock_us() - 1; }
  void wait_us(std::int64_t duration) override {
    pauses.push_back(duration);
    let_pass(duration);
  }
  bool stop_requested() override { return asks_to_stop && asks_to_stop(); }
  void execute_alone(const std::string &sql, const std::string &) override {
    alone.push_back(sql);
    const std::string concurrently = "CONCURRENTLY ";
    if (const std::size_t at = sql.find(concurrently); at != std::string::npos)
      FakeDatabase::execute(std::string(sql).erase(at, concurrently.size()));
  }

  // Memory: steps come from the ledger's rows, as they do in the server.
  std::optional<OnlineState> unfinished() override {
    std::optional<OnlineState> result = parts.memory;
    if (!result)
      return result;
    for (const LedgerRow &each : state.ledger) {
      if (each.kind == "finish" && each.step.status == "done")
        return std::nullopt;
      if (each.kind == "step" && each.step.status == "done")
        result->done.insert(each.step.step);
    }
    return result;
  }
  void remember(std::int64_t, const OnlineState &remembered) override {
    parts.memory = remembered;
    parts.memory->done.clear();
  }
  void at_batch(std::int64_t, const FillResult &, std::int64_t) override {}
  void hold_rows(const FillResult &) override {}
  void waits(const LockWait &wait) override { lock_waits.push_back(wait); }
  void holds(const Hold &hold) override { held.push_back(hold.reason); }

  // Operator: what is ordered outlasts every transaction.
  void begins(std::int64_t, const Pace &pace) override { ordered.pace = pace; }
  Orders orders() override {
    if (before_orders)
      before_orders();
    ordered.stop = stop_requested();
    return ordered;
  }
  Load load() override { return around ? around() : Load(); }

  // Database
  std::vector<Row> query(const std::string &sql,
                         const std::vector<Parameter> &parameters = {}) override {
    const auto is_about = [&](const std::string &table) {
      return !parameters.empty() && std::get<std::string>(parameters.front()) == table;
    };
    if (sql == sessions_size_query) // heap, TOAST, rows, pages, …
      return {{"819200", "8192000", "600", "100", "600", "0", "600", "0", "4194304", "67108864",
               "f", "1073741824", "f", "2097152"}};
    if (is_like(sql, sample_documents_query(target(), mark_1),
                {std::to_string(mark_1 * 100) + ".000000"}))
      return {{"600", "600", "600", "60", "6", "6", "0", "12", "2000"}};
    if (sql == index_sizes_query)
      return {{"btree", "81920", "20", "600"}};
    if (is_like(sql, firing_triggers_query(mark), marks))
      return update_triggers;
    if (sql == online::find_objects(target()))
      return {parts.trigger != 0
                  ? Row{std::to_string(parts.trigger), fires_always ? "t" : "f", changes(), queue(),
                        changes_oid()}
                  : Row{std::nullopt, std::nullopt, changes(), queue(), changes_oid()}};
    if (starts_with(sql, "SELECT 1 WHERE to_regclass"))
      return (is_about(name(online::changes_table)) ? parts.changes_table || name_taken
              : is_about(name(online::queue_table)) ? parts.queue.table != 0 || queue_name_taken
                                                    : parts.staged)
                 ? std::vector<Row>{{"1"}}
                 : std::vector<Row>{};
    if (sql == online::staging_is_whole(target()))
      return {{parts.staging_whole ? "t" : "f"}};
    if (sql == online::sum_up_queue(target()))
      return {{std::to_string(parts.queue.length), parts.queue_edited ? "2" : "1"}};
    if (const auto found =
            arguments_of(sql, online::count_places(target(), {mark_1, mark_2}), marks))
      return {{std::to_string(std::min(places_in(*found).last, parts.queue.length) -
                              places_in(*found).after)}};
    if (sql == online::count_heap_only(target(), {}))
      return {{std::to_string(heap_only_)}};
    if (sql == online::count_changed_keys(target()))
      return {{std::to_string(parts.notes.size())}};
    if (sql == online::count_changed_keys_and_sessions(target()))
      return {{std::to_string(parts.notes.size()), std::to_string(sessions)}};
    if (const auto limit = arguments_of(sql, online::read_changed_keys(target(), mark_1), marks))
      return some_notes(std::stoul(limit->front()));
    if (is_like(sql, online::staged_keys(target(), {mark}), marks))
      return {{"192.0.2.1", "64500"}};
    if (is_like(sql, lock_holders_query(mark, true), marks) ||
        is_like(sql, lock_holders_query(mark, false), marks))
      return {{"process 42 holds everything", "42", "16384"}};
    if (sql == lock_attempts_query)
      return {{std::to_string(lock_attempts)}};
    return FakeDatabase::query(sql, parameters);
  }

  std::int64_t execute(const std::string &sql,
                       const std::vector<Parameter> &parameters = {}) override {
    executed.push_back({transaction, kinds.empty() ? TransactionKind::work : kinds.back(), sql});
    if (const auto rows = execute_online(sql))
      return *rows;
    const std::string not_valid = " NOT VALID";
    if (sql.size() > not_valid.size() && contains(sql, " ADD CONSTRAINT ") &&
        contains(sql, " CHECK ") &&
        sql.compare(sql.size() - not_valid.size(), not_valid.size(), not_valid) == 0) {
      const std::int64_t rows =
          FakeDatabase::execute(sql.substr(0, sql.size() - not_valid.size()), parameters);
      state.schema.table("session_summaries")->constraints.back().validated = false;
      return rows;
    }
    const std::int64_t rows = FakeDatabase::execute(sql, parameters);
    parts.staged = state.schema.table(derivation::staging_table) != nullptr;
    parts.staging_whole = parts.staging_whole && parts.staged;
    return rows;
  }

  void stage(const std::string &query) override { fill(query, true, std::nullopt); }

  FillResult fill(const std::string &sql, bool, std::optional<std::int64_t>) override {
    executed.push_back({transaction, kinds.back(), sql});
    if (before_fill)
      before_fill(sql);
    FillResult result;
    const std::string zero(32, '0');
    result.before = result.settled = result.stored = {0, zero, zero};
    const Table &declared = declared_v16().tables.front();
    const Table &base = *state.schema.table(declared.name);
    const auto batch = batch_in(sql, declared, base);
    if (batch) {
      const online::Places places = *batch;
      parts.batches.push_back(places.last);
      result.rows = result.before.sessions = places.last - places.after;
      if (stays_in_page)
        heap_only_ += result.rows;
    } else if (!is_like(sql, online::fill_sessions(target(), declared, base, {mark}), marks) &&
               !is_like(sql, online::read_sessions(target(), declared, base, {mark}), marks)) {
      throw std::logic_error("the fake does not know the statement: " + sql);
    }
    return result;
  }

  std::int64_t note_sessions(const std::string &query) override {
    executed.push_back({transaction, kinds.back(), query});
    const Table &declared = declared_v16().tables.front();
    const Table &base = *state.schema.table(declared.name);
    if (query == online::orphan_keys(target())) {
      parts.notes.insert(parts.notes.end(), orphaned.begin(), orphaned.end());
      return static_cast<std::int64_t>(orphaned.size());
    }
    const auto most =
        arguments_of(query, online::unfilled_keys(target(), declared, base, mark_1), marks);
    if (!most && query != online::unfilled_keys(target(), declared, base, std::nullopt))
      throw std::logic_error("the fake does not know the statement: " + query);
    if (before_fill)
      before_fill(query);
    const std::size_t limit = most ? std::stoul(most->front()) : parts.unfilled.size();
    std::int64_t rows = 0;
    while (!parts.unfilled.empty() && static_cast<std::size_t>(rows) < limit) {
      parts.notes.push_back(*parts.unfilled.begin());
      parts.unfilled.erase(parts.unfilled.begin());
      ++rows;
    }
    for (std::int64_t i = 0; i < inserts_per_pass; ++i)
      parts.unfilled.insert(key(100'000 + next_insert_++));
    return rows;
  }

  void remove_notes(const std::string &query, const std::vector<Parameter> &parameters) override {
    executed.push_back({transaction, kinds.back(), query});
    if (query == online::places_of_keys_with_address(target())) {
      parts.worked_off += static_cast<std::int64_t>(parts.notes.size());
      parts.notes.clear();
    } else if (const auto found =
                   arguments_of(query, online::places_of_keys(target(), "file"), {"'file'"})) {
      remove_keys(std::get<std::string>(parameters.at(0)), found->at(0));
    } else {
      throw std::logic_error("the fake does not know the statement: " + query);
    }
  }

private:
  std::string name(const std::string &table) const { return qualified(target().schema, table); }
  std::optional<std::string> changes() const {
    return parts.changes_table ? std::optional<std::string>("t")
           : name_taken        ? std::optional<std::string>("f")
                               : std::nullopt;
  }
  std::optional<std::string> changes_oid() const {
    return parts.changes_table ? std::optional<std::string>(std::to_string(parts.changes))
                               : std::nullopt;
  }
  std::string file() const { return changes_moved ? "2" : "1"; }

  std::optional<std::string> queue() const {
    return parts.queue.table != 0 ? std::optional<std::string>(std::to_string(parts.queue.table))
                                  : std::nullopt;
  }

  static online::Places places_in(const std::vector<std::string> &arguments) {
    return {std::stoll(arguments.at(0)), std::stoll(arguments.at(1))};
  }

  std::optional<online::Places> batch_in(const std::string &sql, const Table &declared,
                                         const Table &base) const {
    for (const auto taken : {online::TakenSnapshots::keep, online::TakenSnapshots::complete})
      if (const auto found = arguments_of(
              sql, online::fill_batch(target(), declared, base, {mark_1, mark_2}, taken), marks))
        return places_in(*found);
    return std::nullopt;
  }

  std::vector<Row> some_notes(std::size_t most) const {
    std::vector<Row> rows;
    for (const std::string &each : parts.notes)
      if (rows.size() < most)
        rows.push_back({each, each, file()});
    return rows;
  }

  /** What only an online migration executes; nothing: it is something else. */
  std::optional<std::int64_t> execute_online(const std::string &sql) {
    const Target &where = target();
    const std::string changes_name = name(online::changes_table);
    if (starts_with(sql, "LOCK TABLE "))
      return 0;
    if (sql == online::drop_trigger(where)) {
      require(parts.trigger != 0, "42704", sql);
      parts.trigger = 0;
      return 0;
    }
    if (sql == online::create_trigger(where).front()) {
      require(parts.trigger == 0 && parts.changes_table, "42710", sql);
      parts.trigger = ++last_oid_;
      return 0;
    }
    if (sql == online::create_trigger(where).back()) {
      fires_always = true;
      return 0;
    }
    if (sql == online::create_changes(where).front()) {
      require(!parts.changes_table && !name_taken, "42P07", sql);
      parts.changes_table = true;
      parts.changes = ++last_oid_;
      parts.notes.clear();
      return 0;
    }
    if (sql == "DROP TABLE " + changes_name) {
      require(parts.changes_table, "42P01", sql);
      parts.changes_table = false;
      return 0;
    }
    const auto decoded = wal_is_decoded ? online::Decoded::yes : online::Decoded::no;
    if (sql == online::create_queue(where, decoded)) {
      require(parts.queue.table == 0 && !queue_name_taken, "42P07", sql);
      parts.queue = {++last_oid_, sessions, "1"};
      parts.queue_edited = false;
      return sessions;
    }
    for (const std::string &each : online::finish_queue(where, decoded))
      if (sql == each)
        return 0;
    if (sql == "DROP TABLE " + name(online::queue_table)) {
      require(parts.queue.table != 0, "42P01", sql);
      parts.queue = Queue();
      return 0;
    }
    if (sql == online::create_changes(where).at(1) || sql == online::create_changes(where).back() ||
        sql == online::create_delta(where))
      return 0;
    if (sql == online::mark_staging(where)) {
      require(parts.staged, "42P01", sql);
      parts.staging_whole = true;
      return 0;
    }
    if (is_about_staged(sql))
      return 0;
    for (const Table &each : schema_v16().tables)
      if (each.phase > 0 && is_about_rows_of(each.name, sql)) {
        require(state.schema.table(each.name), "42P01", sql);
        return 100;
      }
    if (sql == derivation::stage_from_documents(where, *state.schema.table("session_summaries")))
      ++parts.staged_anew;
    return std::nullopt;
  }

  bool is_about_staged(const std::string &sql) const {
    if (is_like(sql, online::unstage(target(), {mark}), marks))
      return true;
    for (const char *key : {"asn", "source_ip"})
      for (const std::string &each : online::take_delta(target(), key, {mark}))
        if (is_like(sql, each, marks))
          return true;
    return false;
  }

  /** Derives rows of an inventory again, from all staged sessions or from some, or drops them. */
  bool is_about_rows_of(const std::string &table, const std::string &sql) const {
    Target delta = target();
    delta.staging = online::delta_table;
    const std::vector<std::string> some = {mark};
    for (const Target &where : {target(), delta})
      if (starts_with(sql, derivation::load_rows(where, table, derivation::OnExisting::none_there)))
        return true;
    if (table == "ip_asn_history")
      return sql == online::drop_history(target(), nullptr) ||
             is_like(sql, online::drop_history(target(), &some), marks);
    return sql == online::drop_gone(target(), table, nullptr) ||
           is_like(sql, online::drop_gone(target(), table, &some), marks);
  }

  /** `{"s1","s2"}`, and the file they are in as a literal. */
  void remove_keys(const std::string &list, const std::string &from_file) {
    for (std::int64_t i = 0; i < writes_per_round; ++i)
      parts.notes.push_back(key(200'000 + next_insert_++));
    if (from_file != "'" + file() + "'")
      return;
    std::set<std::string> places;
    for (std::size_t at = list.find("{\""); list[at] != '}';
         at = list.find_first_of(",}", at + 1)) {
      const std::size_t from = at + 2;
      places.insert(list.substr(from, list.find('"', from) - from));
    }
    const std::size_t before = parts.notes.size();
    parts.notes.erase(
        std::remove_if(parts.notes.begin(), parts.notes.end(),
                       [&](const std::string &each) { return places.count(each) > 0; }),
        parts.notes.end());
    parts.worked_off += static_cast<std::int64_t>(before - parts.notes.size());
  }

  std::int64_t heap_only_ = 0;
  std::int64_t last_oid_ = 4710;
  std::int64_t next_insert_ = 0;
};

} // namespace cowrie::test
