// Statement worker: a statement that no transaction may contain (CREATE INDEX CONCURRENTLY,
// VACUUM), executed at top level by a background process, as the owner of the tables.
//
// A procedure cannot execute such a statement: it is itself inside a statement. Nor may the caller
// keep a snapshot or a table lock while it waits: the statement would wait for it in turn, which no
// deadlock check sees. Error regime: throws Failure with what the process has raised.
#pragma once

#include <functional>
#include <string>

#include "pg/boundary/guard.hpp"

namespace cowrie::pg {

/**
 * Executes the statement in a process of its own and waits for its end; to be called between two
 * transactions. `while_waiting` is called now and then, also between transactions; when it throws,
 * the process is ended first. `by_hand` is what the operator can do where there is no process to be
 * had.
 */
void execute_in_worker(Oid owner, const std::string &sql, const std::string &by_hand,
                       const std::function<void()> &while_waiting);

} // namespace cowrie::pg
