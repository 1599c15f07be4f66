// Every difference between server versions, in one place. Included by imports.h only.
#pragma once

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 200000
#error "cowrie_migrate supports PostgreSQL 15 to 19"
#endif

namespace cowrie::pg::compat {

/** Tells whether a role may look up names in a schema. */
inline bool may_use_schema_unsafe(Oid schema, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK;
#else
  return pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK;
#endif
}

/** Runs a portal to its end, as a client's statement that returns nothing. */
inline void run_portal_unsafe(Portal portal) {
  QueryCompletion completion;
#if PG_VERSION_NUM >= 180000
  (void)PortalRun(portal, FETCH_ALL, true, None_Receiver, None_Receiver, &completion);
#else
  (void)PortalRun(portal, FETCH_ALL, true, true, None_Receiver, None_Receiver, &completion);
#endif
}

/** Runs a query to its end. */
inline void run_query_unsafe(QueryDesc *query) {
#if PG_VERSION_NUM >= 180000
  ExecutorRun(query, ForwardScanDirection, 0);
#else
  ExecutorRun(query, ForwardScanDirection, 0, true);
#endif
}

/** Begins a scan by an index whose keys are given later. */
inline IndexScanDesc index_beginscan_unsafe(Relation table, Relation index, Snapshot snapshot,
                                            int keys) {
#if PG_VERSION_NUM >= 190000
  return index_beginscan(table, index, snapshot, nullptr, keys, 0, SO_NONE);
#elif PG_VERSION_NUM >= 180000
  return index_beginscan(table, index, snapshot, nullptr, keys, 0);
#else
  return index_beginscan(table, index, snapshot, keys, 0);
#endif
}

/** Begins a scan of the rows between two places of a table. */
inline TableScanDesc scan_range_unsafe(Relation table, Snapshot snapshot, ItemPointer from,
                                       ItemPointer to) {
#if PG_VERSION_NUM >= 190000
  return table_beginscan_tidrange(table, snapshot, from, to, SO_NONE);
#else
  return table_beginscan_tidrange(table, snapshot, from, to);
#endif
}

/** Plans a query that may run with parallel workers. */
inline PlannedStmt *plan_parallel_unsafe(Query *query, const char *sql) {
#if PG_VERSION_NUM >= 190000
  return pg_plan_query(query, sql, CURSOR_OPT_PARALLEL_OK, nullptr, nullptr);
#else
  return pg_plan_query(query, sql, CURSOR_OPT_PARALLEL_OK, nullptr);
#endif
}

/** Adds a row to a page of a table; returns its place, InvalidOffsetNumber where it does not fit.
 */
inline OffsetNumber add_row_unsafe(Page page, HeapTuple row) {
#if PG_VERSION_NUM >= 190000
  return PageAddItem(page, row->t_data, row->t_len, InvalidOffsetNumber, false, true);
#else
  return PageAddItem(page, reinterpret_cast<Item>(row->t_data), row->t_len, InvalidOffsetNumber,
                     false, true);
#endif
}

/** Deletes a row, if it is there still; waits for whoever else deletes it. */
inline void delete_row_unsafe(Relation table, ItemPointer place, Snapshot snapshot) {
  TM_FailureData ignored;
#if PG_VERSION_NUM >= 190000
  (void)table_tuple_delete(table, place, GetCurrentCommandId(true), 0, snapshot, InvalidSnapshot,
                           /* wait: */ true, &ignored);
#else
  (void)table_tuple_delete(table, place, GetCurrentCommandId(true), snapshot, InvalidSnapshot,
                           /* wait: */ true, &ignored, /* changingPart: */ false);
#endif
}

/** Sets the checksum of a page that only this process sees, where the cluster has checksums. */
inline void set_checksum_unsafe(Page page, BlockNumber block) {
#if PG_VERSION_NUM >= 190000
  PageSetChecksum(page, block);
#else
  PageSetChecksumInplace(page, block);
#endif
}

// The file of a relation: RelFileNode became RelFileLocator, its number relNumber.
#if PG_VERSION_NUM >= 160000
using FileLocator = RelFileLocator;
using FileNumber = RelFileNumber;
#else
using FileLocator = RelFileNode;
using FileNumber = Oid;
#endif

inline FileLocator file_of(Relation table) {
#if PG_VERSION_NUM >= 160000
  return table->rd_locator;
#else
  return table->rd_node;
#endif
}

inline FileNumber &number_in(FileLocator &file) {
#if PG_VERSION_NUM >= 160000
  return file.relNumber;
#else
  return file.relNode;
#endif
}

/** Chooses a number that no file of the tablespace has. */
inline FileNumber new_file_number_unsafe(Oid tablespace, char persistence) {
#if PG_VERSION_NUM >= 160000
  return GetNewRelFileNumber(tablespace, nullptr, persistence);
#else
  return GetNewRelFileNode(tablespace, nullptr, persistence);
#endif
}

/** Opens the storage of a table that is not temporary. */
inline SMgrRelation open_storage_unsafe(const FileLocator &file) {
#if PG_VERSION_NUM >= 170000
  return smgropen(file, INVALID_PROC_NUMBER);
#else
  return smgropen(file, InvalidBackendId);
#endif
}

/** Notes that a table has got a new file in this subtransaction. */
inline void assume_new_file_unsafe(Relation table) {
#if PG_VERSION_NUM >= 160000
  RelationAssumeNewRelfilelocator(table);
#else
  RelationAssumeNewRelfilenode(table);
#endif
}

/** Returns what a process publishes of itself, by its place in the list. */
inline const LocalPgBackendStatus *backend_status_unsafe(int place) {
#if PG_VERSION_NUM >= 160000
  return pgstat_get_local_beentry_by_index(place);
#else
  return pgstat_fetch_stat_local_beentry(place);
#endif
}

/** Sets what the visibility map has of a table: all its visible pages are frozen. */
inline void set_visible_pages(Form_pg_class table, BlockNumber pages) {
  table->relallvisible = static_cast<int32>(pages);
#if PG_VERSION_NUM >= 180000
  table->relallfrozen = static_cast<int32>(pages);
#endif
}

/** Tells whether rows may be removed that old snapshots still see: until 16, where the server has
 * old_snapshot_threshold. */
inline bool is_pruned_early([[maybe_unused]] Relation table) {
#if PG_VERSION_NUM >= 170000
  return false;
#else
  return EarlyPruningEnabled(table);
#endif
}

/** Builds all indexes of a table whose rows have moved. */
inline void rebuild_indexes_unsafe(Oid table) {
  constexpr int flags = REINDEX_REL_SUPPRESS_INDEX_USE | REINDEX_REL_CHECK_CONSTRAINTS;
  ReindexParams parameters = {};
#if PG_VERSION_NUM >= 170000
  (void)reindex_relation(nullptr, table, flags, &parameters);
#else
  (void)reindex_relation(table, flags, &parameters);
#endif
}

/** Gives an index a new, empty file. */
inline void give_new_file_unsafe(Relation index) {
#if PG_VERSION_NUM >= 160000
  RelationSetNewRelfilenumber(index, index->rd_rel->relpersistence);
#else
  RelationSetNewRelfilenode(index, index->rd_rel->relpersistence);
#endif
}

/** Notes how large an index is that has been built, as ANALYZE does. */
inline void note_index_size_unsafe(Relation index, double rows) {
  vac_update_relstats(index, RelationGetNumberOfBlocks(index), rows, 0,
#if PG_VERSION_NUM >= 180000
                      0,
#endif
                      false, InvalidTransactionId, InvalidMultiXactId, nullptr, nullptr, true);
}

} // namespace cowrie::pg::compat

// 15's fmgr.h does not declare it; -Wmissing-declarations wants a declaration.
extern "C" PGDLLEXPORT void
_PG_init(void); // NOLINT(bugprone-reserved-identifier): the server's name
