// Session readers: the side of the process that writes the table.
#include "pg/session_readers.hpp"

#include <algorithm>

#include "pg/session_reader.hpp"
#include "pg/settings.hpp"

namespace cowrie::pg {
namespace {

constexpr int most_workers = 8;
constexpr Size queue_size = 256 * 1024;
constexpr std::uint32_t first_portion = 1024, smallest_portion = 256;
constexpr std::int64_t portion_us = 1'000'000;

/** As many as the planner would take for a scan of a table of this size, or as the table says. */
int workers_for_unsafe(Relation table, BlockNumber blocks) {
  const int wanted = RelationGetParallelWorkers(table, -1);
  int workers = wanted;
  if (wanted < 0) {
    workers = 0;
    for (double size = std::max(min_parallel_table_scan_size, 1); blocks >= size; size *= 3)
      ++workers;
  }
  return std::min({workers, max_parallel_workers_per_gather, most_workers});
}

} // namespace

SessionReaders::SessionReaders(const ResolvedTarget &target, bool by_table)
    : target_(target), by_table_(by_table), portion_(first_portion) {
  call([&] {
    Relation table = table_open(target_.sessions, AccessShareLock);
    // Temporary tables are out of the reach of workers; another access method has another order.
    if (table->rd_rel->relkind == RELKIND_RELATION && table->rd_rel->relam == HEAP_TABLE_AM_OID &&
        !RelationUsesLocalBuffers(table) && SessionColumns::of_unsafe(table).known() &&
        !IsInParallelMode()) {
      blocks_ = RelationGetNumberOfBlocks(table);
      workers_ = workers_for_unsafe(table, blocks_);
    }
    table_close(table, NoLock);
  });
}

const SessionReading *SessionReaders::next() {
  while (rest_.empty() && !at_work()) {
    if (workers_ == 0 || position_ >= blocks_)
      return nullptr;
    begin_portion();
  }
  const bool taken = take(rest_, reading_);
  // After the last row of the table nobody asks any more: parallel mode must have ended by then.
  while (rest_.empty() && at_work())
    receive();
  return taken ? &reading_ : nullptr;
}

void SessionReaders::stop() {
  workers_ = 0;
  rest_ = {};
  if (at_work())
    end_portion();
}

void SessionReaders::begin_portion() {
  begun_ = GetCurrentTimestamp();
  call([this] { launch_unsafe(); });
  if (launched_ == 0) { // no process is free
    stop();
    return;
  }
  while (rest_.empty() && at_work())
    receive();
}

void SessionReaders::launch_unsafe() {
  const BlockNumber end = std::min<std::uint64_t>(std::uint64_t(position_) + portion_, blocks_);
  stretch_ = 0;
  stretches_ = (end - position_ + blocks_per_stretch - 1) / blocks_per_stretch;
  (void)GetCurrentTransactionId(); // none can be assigned later
  // The rows that ALTER TABLE sees: the latest.
  PushActiveSnapshot(GetLatestSnapshot());
  EnterParallelMode();
  context_ = CreateParallelContext("$libdir/cowrie_migrate", "cowrie_read_sessions", workers_);
  shm_toc_estimate_chunk(&context_->estimator, sizeof(ReadingOrder));
  shm_toc_estimate_chunk(&context_->estimator, queue_size * workers_);
  shm_toc_estimate_keys(&context_->estimator, 2);
  InitializeParallelDSM(context_);
  auto *order = new (shm_toc_allocate(context_->toc, sizeof(ReadingOrder))) ReadingOrder();
  order->schema = target_.schema;
  order->sessions = target_.sessions;
  order->ask_events = target_.names.has_raw_events;
  order->by_table = by_table_;
  order->first = position_;
  order->end = end;
  order->queue_size = queue_size;
  strlcpy(order->schema_name, target_.names.schema.c_str(), NAMEDATALEN);
  ConditionVariableInit(&order->launched);
  shm_toc_insert(context_->toc, key_order, order);
  char *queues = static_cast<char *>(shm_toc_allocate(context_->toc, queue_size * workers_));
  for (int i = 0; i < workers_; ++i)
    shm_mq_set_receiver(shm_mq_create(queues + i * queue_size, queue_size), MyProc);
  shm_toc_insert(context_->toc, key_queues, queues);
  LaunchParallelWorkers(context_);
  launched_ = context_->nworkers_launched;
  // What we are called in is the memory of one row.
  MemoryContext previous = MemoryContextSwitchTo(TopTransactionContext);
  for (int i = 0; i < launched_; ++i)
    queues_[i] = shm_mq_attach(reinterpret_cast<shm_mq *>(queues + i * queue_size), context_->seg,
                               context_->worker[i].bgwhandle);
  MemoryContextSwitchTo(previous);
  order->workers.store(launched_);
  ConditionVariableBroadcast(&order->launched);
  PopActiveSnapshot();
  position_ = end;
}

// Stretches go round among the readers, so the next message is always in a known queue.
void SessionReaders::receive() {
  struct Message {
    Size size = 0;
    void *data = nullptr;
    bool arrived = false;
  };
  const Message message = call([this]() -> Message {
    Message result;
    result.arrived = shm_mq_receive(queues_[stretch_ % launched_], &result.size, &result.data,
                                    false) == SHM_MQ_SUCCESS;
    return result;
  });
  if (!message.arrived) { // it has ended before its time: why, is raised by this
    stop();
    return;
  }
  const char *bytes = static_cast<const char *>(message.data);
  rest_ = {bytes + 1, message.size - 1};
  if (bytes[0] == more_follows || ++stretch_ < stretches_)
    return;
  last_ = rest_; // the shared memory goes with the portion
  end_portion();
  rest_ = last_;
}

void SessionReaders::end_portion() {
  call([this] {
    for (int i = 0; i < launched_; ++i)
      shm_mq_detach(queues_[i]); // one that still sends notices
    WaitForParallelWorkersToFinish(context_);
    DestroyParallelContext(context_);
    ExitParallelMode();
  });
  context_ = nullptr;
  const std::int64_t took = std::max<std::int64_t>(GetCurrentTimestamp() - begun_, 1);
  const double wanted = static_cast<double>(portion_) * portion_us / static_cast<double>(took);
  portion_ = static_cast<std::uint32_t>(
      std::clamp(wanted, static_cast<double>(smallest_portion), 4.0 * portion_));
}

} // namespace cowrie::pg
