// Fingerprint: an order-independent 128-bit sum over rows, to prove that none was lost or changed.
//
// The sum of XXH3 128-bit hashes modulo 2^128: it does not depend on the order of the rows, so it
// can be computed in any scan and combined from parallel ones. It is a check against accidents and
// bugs, not a signature. Error regime: never throws but std::bad_alloc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cowrie {

/** A sum modulo 2^128. */
struct Sum128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  void add(Sum128 other) noexcept;
  void subtract(Sum128 other) noexcept;
  std::string hex() const;                              ///< 32 hexadecimal digits
  static Sum128 of_hex(std::string_view text) noexcept; ///< reads hex(); an empty text is 0
};

/** What one session's document adds to SessionsFingerprint::documents; nothing: it is SQL NULL. */
Sum128 document_sum(std::string_view session_id, std::optional<std::string_view> document) noexcept;

/** A 64-bit hash of some bytes. */
std::uint64_t hash64(std::string_view bytes) noexcept;

/** The running fingerprint of a set of sessions. Plain data: it crosses to parallel workers. */
struct SessionsFingerprint {
  std::int64_t sessions = 0;
  Sum128 documents; ///< over (session_id, document)
  Sum128 times;     ///< over (session_id, event times)

  /**
   * Adds a session.
   * @param document the stored bytes of its enrichment; nothing for SQL NULL
   * @param first,last its event times in microseconds, UTC; nothing for SQL NULL
   */
  void add(std::string_view session_id, std::optional<std::string_view> document,
           std::optional<std::int64_t> first, std::optional<std::int64_t> last) noexcept;
  /** The same, where document_sum() is known. */
  void add(std::string_view session_id, Sum128 document, std::optional<std::int64_t> first,
           std::optional<std::int64_t> last) noexcept;
  void add(const SessionsFingerprint &other) noexcept;
  /** The fingerprint of these sessions without some of them. */
  SessionsFingerprint without(const SessionsFingerprint &some) const noexcept;
};

/**
 * What a run proves with. Sessions that were created up to its start are settled: they are what a
 * later comparison can be made over, when other sessions have come.
 */
struct ProofSum {
  SessionsFingerprint all;
  SessionsFingerprint unsettled; ///< those created later than the run's start; few, if any

  /** Adds a session as SessionsFingerprint::add() does. */
  void add(std::string_view session_id, Sum128 document, std::optional<std::int64_t> first,
           std::optional<std::int64_t> last, bool settled) noexcept;
  void add(const ProofSum &other) noexcept;
  SessionsFingerprint settled() const noexcept { return all.without(unsettled); }
};

} // namespace cowrie
