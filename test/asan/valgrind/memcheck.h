/*
 * What the server, compiled with USE_VALGRIND, would say to valgrind, is said to AddressSanitizer:
 * which part of an allocation the caller may touch (palloc cuts many from one block of malloc,
 * whose fences are too far off), and that a page of shared buffers may not be touched while it is
 * not pinned. Only what may be accessed is known here, not what has a value.
 */
#ifndef COWRIE_MIGRATE_ASAN_MEMCHECK_H
#define COWRIE_MIGRATE_ASAN_MEMCHECK_H

#include <sanitizer/asan_interface.h>

#define VALGRIND_MAKE_MEM_NOACCESS(address, size) __asan_poison_memory_region((address), (size))
#define VALGRIND_MAKE_MEM_UNDEFINED(address, size) __asan_unpoison_memory_region((address), (size))
#define VALGRIND_MAKE_MEM_DEFINED(address, size) __asan_unpoison_memory_region((address), (size))
#define VALGRIND_CHECK_MEM_IS_DEFINED(address, size) ((void)0)

#define VALGRIND_CREATE_MEMPOOL(pool, fence, zeroed) ((void)0)
#define VALGRIND_DESTROY_MEMPOOL(pool) ((void)0)
#define VALGRIND_MEMPOOL_TRIM(pool, address, size) ((void)0)
#define VALGRIND_MEMPOOL_ALLOC(pool, address, size) __asan_unpoison_memory_region((address), (size))
/* needs the size, which is not said here: with CLOBBER_FREED_MEMORY what frees it fences it */
#define VALGRIND_MEMPOOL_FREE(pool, address) ((void)0)
#define VALGRIND_MEMPOOL_CHANGE(pool, before, after, size)                                         \
  __asan_unpoison_memory_region((after), (size))

#endif
