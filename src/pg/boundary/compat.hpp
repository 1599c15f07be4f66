// Every difference between server versions, in one place. Included by imports.h only.
#pragma once

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "cowrie_migrate supports PostgreSQL 15 to 18"
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
#if PG_VERSION_NUM >= 180000
  return index_beginscan(table, index, snapshot, nullptr, keys, 0);
#else
  return index_beginscan(table, index, snapshot, keys, 0);
#endif
}

} // namespace cowrie::pg::compat

// 15's fmgr.h does not declare it; -Wmissing-declarations wants a declaration.
extern "C" PGDLLEXPORT void
_PG_init(void); // NOLINT(bugprone-reserved-identifier): the server's name
