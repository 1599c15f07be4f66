// Run objects: what belongs to a migration itself: the processes of the run that is going on, the
// trigger and the work tables of one that has not ended. Nobody is advised to end or to remove
// them.
//
// What it may know: names. Error regime: plain text.
#pragma once

#include <string>

namespace cowrie::run_objects {

/** The sub-object number of the extension on which the run lock is taken. */
inline constexpr int lock_number = 16;

/** The condition on a row of pg_locks that it is the run lock of this database, and granted.
 *  @param locks the alias of pg_locks */
std::string is_run_lock(const std::string &locks);

/** A common table expression `run_processes (pid, virtualtransaction, certain)`: whoever holds the
 * run lock, its parallel workers and its background process. Where a run is going on, so are the
 * sessions that the caller may not see: any of them may be a worker, none is one for certain. A
 * prepared transaction has no pid. */
std::string processes();

/** The condition that a process is none of these.
 *  @param pid, transaction SQL expressions; the latter is a virtualtransaction of pg_locks */
std::string is_other(const std::string &pid, const std::string &transaction = "NULL");

/** The same of what is one of these for certain: for the run itself, which must be told of sessions
 *  that it may not see. */
std::string is_surely_no_part(const std::string &pid, const std::string &transaction);

/** Asks for the run that is going on: its process, NULL where a prepared transaction is it, and
 * what it waits for: the command that ends the prepared transaction, or a lock and who holds it. $1
 * is the OID of a table whose lock was not granted, $2 the process that holds it, $3 and $4 the
 * number of the attempt and of all; zero where it does not try again and again. No row: none runs.
 */
std::string state_query();

/** The condition on a row of pg_trigger that the trigger is one of this extension's.
 *  @param triggers the alias of pg_trigger */
std::string is_own_trigger(const std::string &triggers);

/** The names of the tables that exist only while a migration has not ended, as an array. */
std::string work_tables();

} // namespace cowrie::run_objects
