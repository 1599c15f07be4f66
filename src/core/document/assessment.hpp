// Assessment: what a migration would make of the sessions, counted without changing any.
//
// The state of the aggregate cowrie_assessment(), whose parts come from parallel workers as bytes.
// Memory: some 50 bytes for each different IP. Error regime: never throws but std::bad_alloc;
// throws std::invalid_argument for malformed bytes std::invalid_argument.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/document/enrichment.hpp"

namespace cowrie {

/** The smallest few of many session ids: the same ones in whatever order they come. */
class Examples {
public:
  void add(std::string_view session_id);
  void add(const Examples &other);
  const std::set<std::string, std::less<>> &ids() const noexcept { return ids_; }

private:
  static constexpr std::size_t most = 3;
  std::set<std::string, std::less<>> ids_;
};

/** One session, as the migration would see it. */
struct AssessedSession {
  std::string_view session_id;
  std::optional<std::int64_t> ended;
  const Facts *facts = nullptr;
  bool null_escape = false;   ///< its document holds the escape of U+0000
  bool encoded_twice = false; ///< its document is a string that holds one
  // What it has already; at version 15 nothing.
  bool has_asn = false;
  bool has_country = false;
};

/** What is counted, beside the values rejected by reason. */
enum class Measure : std::uint8_t {
  sessions,
  documents,
  source_ips,      ///< sessions that get a source IP, or have one
  no_source_ip,    ///< sessions that get none
  asns,            ///< sessions with a usable ASN
  countries,       ///< sessions with a usable country
  ip_types,        ///< sessions with a usable IP type
  null_escapes,    ///< documents that hold \u0000
  encoded_twice,   ///< documents that are a string that holds JSON
  snapshots_due,   ///< sessions with an IP and a usable ASN or country
  snapshots_there, ///< of them, those that have it already
  distinct_ips,
  ips_once,    ///< of them, those of one session only
  covered_ips, ///< of them, those that will have both an ASN and a country
  distinct_asns,
};
inline constexpr std::size_t measure_count = 15;
std::string_view name_of(Measure measure) noexcept;

class Assessment {
public:
  void add(const AssessedSession &session);
  void add(const Assessment &other);

  struct Amount {
    std::string_view name; ///< of a measure or a reject reason
    std::int64_t amount;
    Examples examples; ///< session ids
  };
  /** All measures, then all reject reasons. */
  std::vector<Amount> amounts() const;

  std::string bytes() const;
  static Assessment from_bytes(std::string_view bytes);

private:
  /** An address: which of its sessions decides its country, and what is known so far. */
  struct Ip {
    std::int64_t ended;    ///< of the latest session with provider data
    std::uint64_t session; ///< and the beginning of its id
    std::uint32_t sessions;
    bool has_provider_data;
    bool has_asn;
    bool has_country;
    void add(const Ip &other) noexcept;
  };

  std::int64_t &count(Measure measure) noexcept {
    return counts_[static_cast<std::size_t>(measure)];
  }

  std::array<std::int64_t, measure_count> counts_{};
  std::array<std::int64_t, reject_reason_count> rejects_{};
  std::array<Examples, reject_reason_count> rejected_;
  Examples without_ip_;
  Examples with_null_escape_;
  Examples encoded_twice_;
  std::unordered_map<std::uint64_t, Ip> ips_; ///< by a hash of the address
  std::unordered_set<std::int32_t> asns_;
};

} // namespace cowrie
