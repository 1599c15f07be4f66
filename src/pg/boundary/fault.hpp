// Fault: where a run is made to fail, for tests. Every statement of the extension passes
// fault::statement() before it is executed, so cowrie_migrate.fail_at can make each of them fail.
//
// Error regime: throws PgError.
#pragma once

#include <cstdint>
#include <string_view>

namespace cowrie::pg::fault {

/** Starts counting statements anew: a call of the extension begins. */
void begin_call() noexcept;
/** Names where a run is; raises when cowrie_migrate.fail_at is '<phase>.<step>' of it. */
void at(int phase, std::string_view step);
/** Counts a statement; raises when cowrie_migrate.fail_at is '#<n>' of it. */
void statement();
/** The statements since begin_call(); what cowrie_migrate.statements shows. */
std::int64_t count() noexcept;

} // namespace cowrie::pg::fault
