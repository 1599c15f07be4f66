// Index rebuild: gives tables whose rows have moved their indexes again.
#include "pg/rewrite/index_rebuild.hpp"

#include <algorithm>

#include "pg/boundary/settings.hpp"

namespace cowrie::pg {
namespace {

/** Key in the table of contents of the shared memory. */
constexpr std::uint64_t key_builds = 1;

/** One index that is to be built. */
struct IndexBuild {
  Oid index, table, owner;
  BlockNumber blocks; ///< of the table: what the build takes is about in proportion to it
  double rows;        ///< in the index, when it is built
};

/** What every process takes from: plain data in shared memory. */
struct SharedBuilds {
  pg_atomic_uint32 next;
  std::uint32_t count;
  IndexBuild builds[FLEXIBLE_ARRAY_MEMBER];
};

/** Tells whether an index is one that REINDEX would do nothing special for, and that calls only
 *  functions of the server: those of others need not bear parallel mode. (An exclusion constraint
 * is checked by a look at each row after the build, whatever the access method is.) */
bool is_plain_unsafe(Relation index) {
  const FormData_pg_index &entry = *index->rd_index;
  const int keys = IndexRelationGetNumberOfKeyAttributes(index);
  if (index->rd_rel->relam != BTREE_AM_OID || entry.indisexclusion || !entry.indisvalid ||
      !entry.indisready || !entry.indislive || entry.indcheckxmin ||
      !heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, nullptr) ||
      !heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr))
    return false;
  for (int i = 0; i < keys; ++i)
    if (TupleDescAttr(RelationGetDescr(index), i)->atttypid >= FirstNormalObjectId)
      return false;
  const RegProcedure *functions = index->rd_support;
  return std::all_of(functions, functions + std::ptrdiff_t{keys} * index->rd_indam->amsupport,
                     [](RegProcedure each) { return each < FirstNormalObjectId; });
}

/** Adds what is to be built for a table; false: there is an index that is not plain. */
bool add_builds_unsafe(Oid table, std::vector<IndexBuild> &builds) {
  Relation relation = table_open(table, NoLock);
  const BlockNumber blocks = RelationGetNumberOfBlocks(relation);
  bool plain = !compat::is_pruned_early(relation); // then REINDEX hides indexes from old snapshots
  ListCell *cell;
  foreach (cell, RelationGetIndexList(relation)) {
    Relation index = index_open(lfirst_oid(cell), AccessExclusiveLock);
    plain = plain && is_plain_unsafe(index);
    builds.push_back({RelationGetRelid(index), table, relation->rd_rel->relowner, blocks, 0});
    index_close(index, NoLock);
  }
  table_close(relation, NoLock);
  return plain;
}

/** Tells whether whole indexes can be dealt out evenly, and there is work enough. */
bool are_worth_sharing(const std::vector<IndexBuild> &builds, int processes) {
  std::int64_t all = 0, largest = 0;
  for (const IndexBuild &each : builds) {
    all += each.blocks;
    largest = std::max<std::int64_t>(largest, each.blocks);
  }
  return processes > 1 && largest > 0 && all >= largest * processes * 2 &&
         all >= min_parallel_table_scan_size;
}

/** Gives an index an empty file, as REINDEX does. */
void empty_unsafe(Oid index) {
  Relation relation = index_open(index, NoLock);
  CheckTableNotInUse(relation, "REINDEX INDEX");
  TransferPredicateLocksToHeapRelation(relation);
  compat::give_new_file_unsafe(relation);
  index_close(relation, NoLock);
}

// The locks are those that the server's own workers take: whoever leads them has stronger ones.
void build_unsafe(IndexBuild &build) {
  CHECK_FOR_INTERRUPTS();
  MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "cowrie_migrate index build",
                                                ALLOCSET_DEFAULT_SIZES);
  MemoryContext previous = MemoryContextSwitchTo(context);
  Relation table = table_open(build.table, ShareLock);
  Relation index = index_open(build.index, AccessExclusiveLock);
  build.rows = index->rd_indam->ambuild(table, index, BuildIndexInfo(index))->index_tuples;
  index_close(index, NoLock);
  table_close(table, NoLock);
  MemoryContextSwitchTo(previous);
  MemoryContextDelete(context);
}

/** Builds indexes until there is none left. */
void build_indexes(SharedBuilds &shared) {
  for (std::uint32_t n; (n = pg_atomic_fetch_add_u32(&shared.next, 1)) < shared.count;) {
    const PrivilegesOf owner(shared.builds[n].owner);
    call([&] { build_unsafe(shared.builds[n]); });
  }
}

/** The processes that build. */
struct Builders {
  ParallelContext *context;
  SharedBuilds *shared;
};

Builders launch_unsafe(const std::vector<IndexBuild> &builds, int workers) {
  Builders result{};
  (void)GetCurrentTransactionId(); // none can be assigned later
  PushActiveSnapshot(GetLatestSnapshot());
  EnterParallelMode();
  result.context = CreateParallelContext("$libdir/cowrie_migrate", "cowrie_build_indexes", workers);
  const Size size =
      add_size(offsetof(SharedBuilds, builds), mul_size(builds.size(), sizeof(IndexBuild)));
  shm_toc_estimate_chunk(&result.context->estimator, size);
  shm_toc_estimate_keys(&result.context->estimator, 1);
  InitializeParallelDSM(result.context);
  ereport(DEBUG1, (errmsg_internal("building %zu indexes, each in one of %d processes",
                                   builds.size(), workers + 1)));
  result.shared = static_cast<SharedBuilds *>(shm_toc_allocate(result.context->toc, size));
  pg_atomic_init_u32(&result.shared->next, 0);
  result.shared->count = static_cast<std::uint32_t>(builds.size());
  std::copy(builds.begin(), builds.end(), result.shared->builds);
  shm_toc_insert(result.context->toc, key_builds, result.shared);
  LaunchParallelWorkers(result.context);
  PopActiveSnapshot();
  return result;
}

/** Waits for the others, and takes what they have counted. */
void end_unsafe(const Builders &builders, std::vector<IndexBuild> &builds) {
  WaitForParallelWorkersToFinish(builders.context);
  std::copy_n(builders.shared->builds, builds.size(), builds.begin());
  DestroyParallelContext(builders.context);
  ExitParallelMode();
}

/** Builds indexes with others, the largest tables first. */
void build_together(std::vector<IndexBuild> &builds, int processes) {
  const MaintenanceMemory share(maintenance_work_mem / processes);
  std::stable_sort(
      builds.begin(), builds.end(),
      [](const IndexBuild &one, const IndexBuild &other) { return one.blocks > other.blocks; });
  for (const IndexBuild &each : builds)
    call([&] { empty_unsafe(each.index); });
  const Builders builders = call([&] { return launch_unsafe(builds, processes - 1); });
  build_indexes(*builders.shared);
  call([&] { end_unsafe(builders, builds); });
  for (const IndexBuild &each : builds)
    call([&] {
      Relation index = index_open(each.index, NoLock);
      compat::note_index_size_unsafe(index, each.rows);
      index_close(index, NoLock);
    });
}

} // namespace

void rebuild_indexes(const std::vector<Oid> &tables) {
  std::vector<IndexBuild> builds;
  std::vector<Oid> others;
  for (const Oid each : tables) {
    const std::size_t before = builds.size();
    if (call([&] { return add_builds_unsafe(each, builds); }))
      continue;
    builds.resize(before);
    others.push_back(each);
  }
  const int processes = max_parallel_maintenance_workers + 1;
  const bool together = are_worth_sharing(builds, processes);
  if (together)
    build_together(builds, processes);
  for (const Oid each : together ? others : tables)
    call([=] { compat::rebuild_indexes_unsafe(each); });
}

} // namespace cowrie::pg

extern "C" {

PGDLLEXPORT void cowrie_build_indexes(dsm_segment *segment, shm_toc *contents);

void cowrie_build_indexes(dsm_segment *, shm_toc *contents) {
  (void)cowrie::pg::entry([&] {
    auto *shared = cowrie::pg::call([&] {
      return static_cast<cowrie::pg::SharedBuilds *>(
          shm_toc_lookup(contents, cowrie::pg::key_builds, false));
    });
    cowrie::pg::build_indexes(*shared);
    return Datum(0);
  });
}

} // extern "C"
