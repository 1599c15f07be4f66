// Rewrite of the heap alone: a part of ServerDatabase.
//
// Error regime: throws.
#include "pg/boundary/fault.hpp"
#include "pg/catalog/leaves.hpp"
#include "pg/database/database.hpp"
#include "pg/reading/fill_run.hpp"
#include "pg/rewrite/heap_rewrite.hpp"
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
void copy_rows(FillRun &run, HeapRewrite &rewrite, Oid table) {
  SessionFiller filler;
  call([&] {
    rewrite.begin_unsafe(table);
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
// last one; with partitions as one more for each.
FillResult ServerDatabase::rewrite_heap() {
  fault::statement();
  FillRun run(target_, progress_, /* stage: */ true, expected_sessions(), std::nullopt);
  StoredRows stored;
  std::optional<FillResult> result;
  const std::vector<Oid> leaves = leaves_of(target_.sessions);
  run.have_read_ahead(leaves, read_by_others);
  for (const Oid leaf : leaves) {
    HeapRewrite rewrite;
    copy_rows(run, rewrite, leaf);
    stored.add(rewrite.stored_rows());
    run.end_parallel_mode();
    if (leaf == leaves.back())
      result = run.finish(); // before the last indexes are built
    fault::statement();
    call([&] { rewrite.finish_unsafe(); });
  }
  if (!result)
    result = run.finish();
  result->heap = stored.fingerprint();
  return *result;
}

Fingerprint ServerDatabase::stored_rows() {
  fault::statement();
  StoredRows rows;
  for (const Oid leaf : leaves_of(target_.sessions))
    call([&] { rows.add_all_unsafe(leaf); });
  return rows.fingerprint();
}

} // namespace cowrie::pg
