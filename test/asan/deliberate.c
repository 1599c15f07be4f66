/*
 * Errors that scripts/asan.sh makes to see that they are seen: a byte behind what malloc has given,
 * one behind what palloc has given, one of an allocation that has ended, one of a page that is not
 * pinned.
 */
#include "postgres.h"

#include <stdlib.h>

#include "access/relation.h"
#include "catalog/pg_class_d.h"
#include "fmgr.h"
#include "storage/bufmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(deliberate_malloc);
PG_FUNCTION_INFO_V1(deliberate_palloc);
PG_FUNCTION_INFO_V1(deliberate_freed);
PG_FUNCTION_INFO_V1(deliberate_unpinned);

Datum deliberate_malloc(PG_FUNCTION_ARGS) {
  volatile char *four = malloc(4);
  four[4] = 'x';
  free((void *)four);
  PG_RETURN_VOID();
}

Datum deliberate_palloc(PG_FUNCTION_ARGS) {
  volatile char *four = palloc(4);
  four[4] = 'x';
  PG_RETURN_VOID();
}

Datum deliberate_freed(PG_FUNCTION_ARGS) {
  volatile char *four = palloc(4);
  pfree((void *)four);
  four[0] = 'x';
  PG_RETURN_VOID();
}

Datum deliberate_unpinned(PG_FUNCTION_ARGS) {
  Relation relation = relation_open(RelationRelationId, AccessShareLock);
  Buffer buffer = ReadBuffer(relation, 0);
  volatile char *page = BufferGetPage(buffer);
  char seen;
  ReleaseBuffer(buffer);
  seen = page[100];
  relation_close(relation, AccessShareLock);
  PG_RETURN_CHAR(seen);
}
