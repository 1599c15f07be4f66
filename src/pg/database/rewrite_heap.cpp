// Rewrite of the heap alone: a part of ServerDatabase.
//
// Error regime: throws.
#include "pg/boundary/fault.hpp"
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

} // namespace

// It counts as two statements, so that a test can make it fail before the first row and after the
// last one.
FillResult ServerDatabase::rewrite_heap() {
  fault::statement();
  FillRun run(target_, progress_, /* stage: */ true, expected_sessions(), std::nullopt);
  run.have_read_ahead(read_by_others);
  HeapRewrite rewrite;
  SessionFiller filler;
  call([&] {
    rewrite.begin_unsafe(target_.sessions);
    filler.find_columns_unsafe(rewrite.table());
  });
  {
    const InMemoryContext row(rewrite.row_memory());
    while (call([&] { return rewrite.next_unsafe(); })) {
      filler.fill(run, rewrite.values(), rewrite.nulls());
      call([&] { rewrite.put_unsafe(); });
    }
  }
  FillResult result = run.finish(); // parallel mode has ended
  result.heap = rewrite.stored_rows().fingerprint();
  fault::statement();
  call([&] { rewrite.finish_unsafe(); });
  return result;
}

Fingerprint ServerDatabase::stored_rows() {
  fault::statement();
  StoredRows rows;
  call([&] { rows.add_all_unsafe(target_.sessions); });
  return rows.fingerprint();
}

} // namespace cowrie::pg
