// Estimates: the arithmetic of pages and of samples.
//
// Error regime: never fails.
#pragma once

#include <cstdint>

namespace cowrie {

/** A page, its header, and the pointer to a row in it; bytes. */
inline constexpr double page = 8192, page_header = 24, line_pointer = 4;

std::int64_t rounded(double value);

/** Bytes of a new btree: sorted, deduplicated, nine tenths full.
 *  @param key bytes of one key with its length word */
std::int64_t btree_bytes(std::int64_t rows, std::int64_t distinct, std::int64_t key);

/** Estimates how many different values `rows` rows have, from a sample with `distinct` values of
 *  which `once` were seen once (Haas and Stokes 1998, as ANALYZE does). */
std::int64_t distinct_in_all(std::int64_t rows, std::int64_t sample, std::int64_t distinct,
                             std::int64_t once);

} // namespace cowrie
