// The declaration: what schema version 17 adds to version 16; the only definition of it.
//
// Source: the application's ORM, which fills these columns. Error regime: plain data.
#include "core/schema/v17.hpp"

#include "core/schema/declaring.hpp"

namespace cowrie {

using namespace declaring;

const Schema &added_by_v17() {
  static const Schema added = [] {
    Table sessions;
    sessions.name = "session_summaries";
    sessions.columns =
        in_phase<Column>(1, {application(column("ssh_key_fingerprint", "character varying(128)")),
                             application(column("password_hash", "character varying(64)")),
                             application(column("command_signature", text))});
    sessions.indexes =
        in_phase<Index>(2, {index("idx_session_ssh_key_fp", {{"ssh_key_fingerprint"}}),
                            index("idx_session_password_hash", {{"password_hash"}}),
                            index("idx_session_command_sig", {{"command_signature"}})});
    return version(17, {"columns", "indexes"}, {sessions});
  }();
  return added;
}

} // namespace cowrie
