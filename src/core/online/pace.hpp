// Pace: how large the next batch is, and the words for what a run waits for.
//
// What it may know: numbers. Error regime: refuse_unfit() throws Failure, the rest cannot fail.
#pragma once

#include "core/ports/online_ports.hpp"

namespace cowrie {

/** Refuses (22023) what is no pace. @param hint the next command */
void refuse_unfit(const Pace &pace, const std::string &hint);

/** How many sessions the next batch takes after one of so many that took so long: what would take
 *  the time that is aimed at, but neither far more nor far fewer than before, and never so many
 *  that a batch cannot be given up lightly. */
std::int64_t next_batch_size(std::int64_t size, std::int64_t took_us, const Pace &pace);

/** Why a run holds back, in words. */
std::string in_words(const Hold &hold);

/** Tells whether others have to recover before the run goes on: neither a pause nor the wait for
 *  the cut-over. */
bool is_for_others(const Hold &hold) noexcept;

} // namespace cowrie
