// Failure: the one exception type that carries what an operator must be told.
//
// What it may know: text. Error regime: thrown by core and, as PgError, by pg/; translated into one
// ereport at the SQL entry.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include "core/base/live.hpp"

namespace cowrie {

/** The SQLSTATEs this extension raises on its own account (PostgreSQL appendix A). */
namespace sqlstate {
inline constexpr const char *feature_not_supported = "0A000";
inline constexpr const char *invalid_parameter = "22023";
inline constexpr const char *foreign_key_violation = "23503";
inline constexpr const char *active_transaction = "25001";
inline constexpr const char *read_only = "25006";
inline constexpr const char *dependent_objects = "2BP01";
inline constexpr const char *insufficient_privilege = "42501";
inline constexpr const char *serialization_failure = "40001";
inline constexpr const char *deadlock_detected = "40P01";
inline constexpr const char *undefined_schema = "3F000";
inline constexpr const char *undefined_object = "42704";
inline constexpr const char *wrong_object_type = "42809";
inline constexpr const char *undefined_table = "42P01";
inline constexpr const char *duplicate_object = "42710";
inline constexpr const char *duplicate_table = "42P07";
inline constexpr const char *disk_full = "53100";
inline constexpr const char *out_of_memory = "53200";
inline constexpr const char *configuration_limit = "53400";
inline constexpr const char *too_many_columns = "54011";
inline constexpr const char *operator_intervention = "57000";
inline constexpr const char *datatype_mismatch = "42804";
inline constexpr const char *prerequisite_state = "55000";
inline constexpr const char *object_in_use = "55006";
inline constexpr const char *lock_not_available = "55P03";
inline constexpr const char *query_canceled = "57014";
inline constexpr const char *data_corrupted = "XX001";
} // namespace sqlstate

/** An error with its SQLSTATE, the facts (detail) and the next command (hint). */
class Failure : public std::exception, Live {
public:
  Failure(std::string state, std::string message_text, std::string detail_text = {},
          std::string hint_text = {})
      : sqlstate(std::move(state)), message(std::move(message_text)),
        detail(std::move(detail_text)), hint(std::move(hint_text)) {}

  const char *what() const noexcept override { return message.c_str(); }

  std::string sqlstate;
  std::string message;
  std::string detail;
  std::string hint;
  std::string context; ///< where it happened: phase and step
  bool from_server =
      false; ///< its detail may hold values of rows: for the caller, not for a record
  bool must_propagate = false; ///< a cancel or shutdown: no failure policy may keep it
};

} // namespace cowrie
