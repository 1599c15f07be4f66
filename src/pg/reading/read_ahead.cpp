// Read ahead: the side of the process that writes the table.
#include "pg/reading/read_ahead.hpp"

#include <algorithm>

#include "core/schema/versions.hpp"
#include "pg/boundary/spi.hpp"

namespace cowrie::pg {
namespace {

constexpr Size queue_size = Size{512} * 1024;
constexpr BlockNumber first_portion = 64; // small, so that progress is soon seen
constexpr BlockNumber smallest_portion = 64;
constexpr double growth = 4.0, portion_us = 1e6;

/**
 * Finds the number of blocks of a table; nothing: it is not to be read ahead. A worker cannot reach
 * a temporary table, and another access method may have another order. Where ALTER TABLE changes a
 * type, the catalog that a worker sees has the new one already, and no longer tells where in a row
 * the columns are. In parallel mode the functions of others may fail: those of a CHECK on the
 * columns that are filled, which ALTER TABLE looks at again, and those behind a raw_events that is
 * not a table.
 */
std::optional<BlockNumber> blocks_to_read(const ResolvedTarget &target, Oid table) {
  std::string filled, as_declared;
  for (const Column &each : filled_sessions(target.names.version).columns) {
    const std::string type =
        each.type.substr(0, std::min(each.type.find('('), each.type.find(" COLLATE")));
    filled += (filled.empty() ? "" : ", ") + quote_literal(each.name);
    as_declared += (as_declared.empty() ? "(" : ", (") + quote_literal(each.name) + ", " +
                   quote_literal(type) + ")";
  }
  const std::vector<Row> rows = spi_query(
      "SELECT pg_relation_size(c.oid) / current_setting('block_size')::int8 FROM pg_class AS c"
      " WHERE c.oid = $1::int8::oid AND c.relam = 2 AND c.relpersistence <> 't'"
      " AND NOT 'parallel_workers=0' = ANY (COALESCE(c.reloptions, '{}'))"
      " AND NOT EXISTS (SELECT 1 FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname IN "
      "(" +
          filled + ") AND (a.attname::text, format_type(a.atttypid, NULL)) NOT IN (" + as_declared +
          "))"
          " AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k JOIN pg_attribute AS a"
          " ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)"
          " WHERE k.conrelid = c.oid AND k.contype = 'c' AND a.attname IN (" +
          filled +
          ")) AND NOT EXISTS (SELECT 1 FROM pg_class AS e WHERE e.relnamespace = $2::int8::oid"
          " AND e.relname = 'raw_events' AND EXISTS (WITH RECURSIVE tree (id) AS (SELECT e.oid "
          "UNION"
          " SELECT i.inhrelid FROM tree JOIN pg_inherits AS i ON i.inhparent = tree.id)"
          " SELECT FROM tree JOIN pg_class AS f ON f.oid = tree.id"
          " WHERE f.relkind NOT IN ('r', 'p')))",
      {std::int64_t(table), std::int64_t(target.schema)}, false);
  if (rows.empty())
    return std::nullopt;
  return static_cast<BlockNumber>(std::stoll(rows.front()[0].value_or("0")));
}

} // namespace

ReadAhead::ReadAhead(const ResolvedTarget &target, const std::vector<Oid> &tables, bool by_table,
                     const ReadingManner &manner)
    : target_(target), spans_tables_(manner.spans_tables), portion_(first_portion) {
  order_.schema = target.schema;
  order_.ask_events = target.names.has_raw_events;
  order_.by_table = by_table;
  order_.share = manner.share;
  strlcpy(order_.schema_name, target.names.schema.c_str(), NAMEDATALEN);
  if (max_parallel_workers_per_gather == 0 || IsInParallelMode())
    return;
  std::vector<Part> found;
  std::int64_t all = 0;
  for (const Oid each : tables) {
    const std::optional<BlockNumber> blocks = blocks_to_read(target, each);
    const bool known = blocks && call([=] {
                         Relation table = table_open(each, AccessShareLock);
                         const bool result = SessionColumns::of_unsafe(table).known();
                         table_close(table, NoLock);
                         return result;
                       });
    if (!known)
      return; // what is written between two that are read would be taken for the second one
    if (*blocks > 0)
      found.push_back({each, *blocks});
    all += *blocks;
  }
  if (all >= std::max(min_parallel_table_scan_size, 1))
    tables_ = std::move(found);
}

const SessionReading *ReadAhead::next() {
  while (begins_portion())
    begin_portion();
  const bool taken = take(rest_, reading_);
  // After the last row of the table nobody asks any more: parallel mode must have ended by then.
  while (rest_.empty() && at_work())
    receive();
  return taken ? &reading_ : nullptr;
}

void ReadAhead::stop() {
  table_ = tables_.size();
  rest_ = {};
  if (at_work())
    end_portion();
}

void ReadAhead::begin_portion() {
  begun_ = GetCurrentTimestamp();
  choose_portion();
  if (!call([this] { return launch_unsafe(); })) {
    stop(); // no process is free
    return;
  }
  while (rest_.empty() && at_work())
    receive();
}

void ReadAhead::choose_portion() {
  BlockNumber left = portion_;
  order_.part_count = 0;
  do {
    const Part &table = tables_[table_];
    const BlockNumber end = block_ + std::min(left, table.blocks - block_);
    order_.parts[order_.part_count++] = {table.table, block_, end};
    left -= end - block_;
    block_ = end;
    if (block_ == table.blocks) {
      ++table_;
      block_ = 0;
    }
  } while (spans_tables_ && left > 0 && table_ < tables_.size() &&
           order_.part_count < ReadingOrder::most_parts);
}

bool ReadAhead::launch_unsafe() {
  (void)GetCurrentTransactionId();         // none can be assigned later
  PushActiveSnapshot(GetLatestSnapshot()); // what ALTER TABLE sees
  EnterParallelMode();
  context_ = CreateParallelContext("$libdir/cowrie_migrate", "cowrie_read_ahead", 1);
  shm_toc_estimate_chunk(&context_->estimator, sizeof(ReadingOrder));
  shm_toc_estimate_chunk(&context_->estimator, queue_size);
  shm_toc_estimate_keys(&context_->estimator, 2);
  InitializeParallelDSM(context_);
  auto *order = static_cast<ReadingOrder *>(shm_toc_allocate(context_->toc, sizeof(ReadingOrder)));
  *order = order_;
  shm_toc_insert(context_->toc, key_order, order);
  shm_mq *queue = shm_mq_create(shm_toc_allocate(context_->toc, queue_size), queue_size);
  shm_mq_set_receiver(queue, MyProc);
  shm_toc_insert(context_->toc, key_queue, queue);
  LaunchParallelWorkers(context_);
  PopActiveSnapshot();
  if (context_->nworkers_launched == 0)
    return false;
  // What we are called in is the memory of one row.
  MemoryContext previous = MemoryContextSwitchTo(TopTransactionContext);
  queue_ = shm_mq_attach(queue, context_->seg, context_->worker[0].bgwhandle);
  MemoryContextSwitchTo(previous);
  return true;
}

void ReadAhead::receive() {
  struct Message {
    Size size = 0;
    void *data = nullptr;
    bool arrived = false;
  };
  const Message message = call([this]() -> Message {
    Message result;
    result.arrived = shm_mq_receive(queue_, &result.size, &result.data, false) == SHM_MQ_SUCCESS;
    return result;
  });
  if (!message.arrived) { // it has ended before its time: the reason is raised here
    stop();
    return;
  }
  const char *bytes = static_cast<const char *>(message.data);
  rest_ = {bytes + 1, message.size - 1};
  if (bytes[0] == more_follows)
    return;
  last_message_ = rest_;
  end_portion();
  rest_ = last_message_;
}

void ReadAhead::end_portion() {
  call([this] {
    if (queue_)
      shm_mq_detach(queue_); // a reader that would still send notices
    WaitForParallelWorkersToFinish(context_);
    DestroyParallelContext(context_);
    ExitParallelMode();
  });
  context_ = nullptr;
  queue_ = nullptr;
  const auto took = static_cast<double>(std::max<TimestampTz>(GetCurrentTimestamp() - begun_, 1));
  portion_ = static_cast<BlockNumber>(
      std::clamp(portion_ * portion_us / took, double{smallest_portion}, portion_ * growth));
}

} // namespace cowrie::pg
