// Pure: the guard of src/core. Include it last: a server header that came in before is an error.
//
// Core is plain C++17, so that it can be tested, fuzzed and read without a server.
#pragma once

#if defined(PG_VERSION_NUM) || defined(PG_VERSION) || defined(POSTGRES_H)
#error "src/core must not see a PostgreSQL header"
#endif

static_assert(__cplusplus >= 201703L, "src/core needs C++17");
