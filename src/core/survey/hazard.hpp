// Hazard: what a preflight reports. Criterion: what a checkpoint measures.
//
// Error regime: plain data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cowrie {

enum class HazardSeverity : std::uint8_t {
  blocker, ///< the migration refuses, with these words
  warning, ///< it may fail, or others may be harmed
  info,    ///< to be known
};
std::string_view name_of(HazardSeverity severity) noexcept;

struct Hazard {
  HazardSeverity severity = HazardSeverity::info;
  std::string hazard; ///< a name below or a reject reason; for a blocker the refusal's message
  std::string detail; ///< the facts
  std::string remedy; ///< SQL; for a blocker the refusal's hint
};

/** The names of hazards that block nothing: stable, and each with its section in the guide. */
namespace hazards {
inline constexpr const char *long_transaction = "long transaction";
inline constexpr const char *idle_transaction = "idle in transaction";
inline constexpr const char *repeatable_read = "REPEATABLE READ transaction";
inline constexpr const char *prepared_transaction = "prepared transaction";
inline constexpr const char *lock = "conflicting lock";
inline constexpr const char *slot = "replication slot retains WAL";
inline constexpr const char *standby = "standby lags";
inline constexpr const char *synchronous = "synchronous standby missing";
inline constexpr const char *archiving = "WAL archiving fails";
inline constexpr const char *wraparound = "wraparound";
inline constexpr const char *timeout = "statement timeout";
inline constexpr const char *unfinished = "unfinished migration";
inline constexpr const char *trigger = "trigger";
inline constexpr const char *online = "online migration";
inline constexpr const char *event_trigger = "event trigger";
inline constexpr const char *row_security = "row-level security";
inline constexpr const char *view = "view";
inline constexpr const char *publication = "publication";
inline constexpr const char *subscriber = "logical subscriber";
inline constexpr const char *subscription = "subscription";
inline constexpr const char *cron = "pg_cron";
inline constexpr const char *version = "server version";
inline constexpr const char *sessions = "connected sessions";
inline constexpr const char *not_visible = "not visible";
inline constexpr const char *nothing_to_do = "nothing to do";
inline constexpr const char *tables = "space for tables";
inline constexpr const char *indexes = "space for indexes";
inline constexpr const char *wal = "space for WAL";
inline constexpr const char *temporary = "space for temporary files";
inline constexpr const char *free_space = "free space";
inline constexpr const char *duration = "duration";
inline constexpr const char *coverage = "expected coverage";
inline constexpr const char *no_session_index = "session_summaries without index";
inline constexpr const char *no_index = "raw_events without index";
inline constexpr const char *no_source_ip = "sessions without source IP";
inline constexpr const char *null_escapes = "documents with \\u0000";
inline constexpr const char *encoded_twice = "documents encoded twice";
inline constexpr const char *sampled = "sampled";
inline constexpr const char *unreadable = "sessions cannot be read";
} // namespace hazards

/** `96.1 %`, rounded down, so that a share below a target never looks like it: the one way in which
 * a preflight foretells and a checkpoint measures. */
std::string percent(double share);

/** One acceptance criterion, or one of several queries of it. */
struct Criterion {
  std::string criterion;
  bool passed = false;
  std::string measured; ///< empty: it could not be measured
  std::string target;
  std::string detail;
};

} // namespace cowrie
