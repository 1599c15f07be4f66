// Operator: the six arguments that the online procedures and cowrie_pace() share, in this order:
// batch_size, pause, target_batch, max_lag, max_wal, max_active.
//
// Error regime: throws.
#pragma once

#include "pg/boundary/imports.h"

#include "core/online/pace.hpp"

namespace cowrie::pg {

/** An argument that is there and not NULL: older objects declare fewer. */
inline bool is_given(FunctionCallInfo fcinfo, int position) {
  return position < PG_NARGS() && !PG_ARGISNULL(position);
}

/** An interval in microseconds, months as 30 days; what is longer than can be counted is as long
 *  as can be counted. */
inline std::int64_t microseconds_of(const Interval &interval) {
  const double days = static_cast<double>(interval.month) * DAYS_PER_MONTH + interval.day;
  const double all = static_cast<double>(interval.time) + days * static_cast<double>(USECS_PER_DAY);
  constexpr double most = 9e18;
  if (all >= most || all <= -most)
    return static_cast<std::int64_t>(all < 0 ? -most : most);
  return interval.time + static_cast<std::int64_t>(days) * USECS_PER_DAY;
}

/** Takes those of the six that are given, the first of them at this position. */
inline void take_pace(FunctionCallInfo fcinfo, int first, Pace &pace) {
  const auto interval = [&](int position, std::int64_t &value) {
    if (is_given(fcinfo, first + position))
      value = microseconds_of(*PG_GETARG_INTERVAL_P(first + position));
  };
  const auto integer = [&](int position, std::int64_t &value) {
    if (is_given(fcinfo, first + position))
      value = PG_GETARG_INT32(first + position);
  };
  integer(0, pace.batch_size);
  interval(1, pace.pause_us);
  interval(2, pace.target_batch_us);
  interval(3, pace.max_lag_us);
  constexpr std::int64_t negative =
      half_of_free_space - 1; // refused, the default's own number, too
  if (is_given(fcinfo, first + 4))
    pace.max_wal = PG_GETARG_INT64(first + 4) < 0 ? negative : PG_GETARG_INT64(first + 4);
  integer(5, pace.max_active);
}

} // namespace cowrie::pg
