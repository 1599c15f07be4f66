// Rewrite of the heap alone: a part of ServerDatabase.
//
// Error regime: throws.
#include <deque>

#include "pg/boundary/fault.hpp"
#include "pg/catalog/leaves.hpp"
#include "pg/database/database.hpp"
#include "pg/reading/fill_run.hpp"
#include "pg/rewrite/heap_rewrite.hpp"
#include "pg/rewrite/index_rebuild.hpp"
#include "pg/rewrite/session_filler.hpp"

namespace cowrie::pg {
namespace {

/** Of 16 documents, how many another process reads: reading one takes about twice as long as
 * writing its row, and this process does both. */
constexpr int read_by_others = 11;

/** Has what is allocated in this scope in one memory context. */
class InMemoryContext : Live {
public:
  explicit InMemoryContext(MemoryContext context) noexcept
      : previous_(MemoryContextSwitchTo(context)) {}
  ~InMemoryContext() { MemoryContextSwitchTo(previous_); }
  InMemoryContext(const InMemoryContext &) = delete;
  InMemoryContext &operator=(const InMemoryContext &) = delete;

private:
  MemoryContext previous_;
};

/** Copies the rows of one table, filled. */
void copy_rows(FillRun &run, HeapRewrite &rewrite) {
  SessionFiller filler;
  call([&] {
    rewrite.begin_unsafe();
    filler.find_columns_unsafe(rewrite.table());
  });
  const InMemoryContext row(rewrite.row_memory());
  while (call([&] { return rewrite.next_unsafe(); })) {
    filler.fill(run, rewrite.values(), rewrite.nulls());
    call([&] { rewrite.put_unsafe(); });
  }
}

} // namespace

// It counts as two statements, so that a test can make it fail before the first row and after the
// last one; with partitions as one more for each. All new files are made first and all indexes
// built last: in between another process may read ahead from one table to the next.
FillResult ServerDatabase::rewrite_heap() {
  fault::statement();
  FillRun run(target_, progress_, /* stage: */ true, expected_sessions(), std::nullopt);
  const std::vector<Oid> leaves = leaves_of(target_.sessions);
  std::deque<HeapRewrite> tables(leaves.size());
  for (std::size_t i = 0; i < leaves.size(); ++i)
    call([&] { tables[i].open_unsafe(leaves[i]); });
  run.have_read_ahead(leaves, {read_by_others, /* spans_tables: */ true});
  StoredRows stored;
  for (HeapRewrite &each : tables) {
    copy_rows(run, each);
    call([&] { each.end_unsafe(); });
    stored.add(each.stored_rows());
  }
  run.end_parallel_mode();
  FillResult result = run.finish();
  for (HeapRewrite &each : tables) {
    fault::statement();
    call([&] { each.finish_unsafe(); });
  }
  rebuild_indexes(leaves);
  result.heap = stored.fingerprint();
  return result;
}

Fingerprint ServerDatabase::stored_rows() {
  fault::statement();
  StoredRows rows;
  for (const Oid leaf : leaves_of(target_.sessions))
    call([&] { rows.add_all_unsafe(leaf); });
  return rows.fingerprint();
}

} // namespace cowrie::pg
