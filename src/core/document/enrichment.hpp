// Enrichment documents: one JSON document in, the facts of one session out.
//
// What lives here: the reading rules of schema version 16 (which provider is asked first, what a
// usable value is, what happens to one that is not). What it may know: JSON text and
// network_values; no server, no SQL. Error regime: error codes and counted rejects; only
// std::bad_alloc is ever thrown.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cowrie {

/** Why a value could not be used. The names (reject_reason_name) are a public contract. */
enum class RejectReason : std::uint8_t {
  ip_invalid,
  asn_invalid,
  asn_out_of_range,
  country_invalid,
  enriched_at_invalid,
  document_unparsable,
  document_too_deep,
  value_too_long, ///< an indexed or length-limited text that does not fit its column, or provider
                  ///< data that does not fit an inventory
};
inline constexpr std::size_t reject_reason_count = 8;
std::string_view reject_reason_name(RejectReason reason) noexcept;

/** Who said which ASN an address belongs to, in order of precedence. */
enum class Provider : std::uint8_t { none, maxmind, cymru, dshield };
std::string_view provider_name(Provider provider) noexcept;

/** A value that stands in the document and cannot be used. */
struct RejectedValue {
  RejectReason reason;
  std::string field; ///< its path, such as `maxmind.asn` or `session.<ip>.cymru.country`
  std::string value; ///< its text, valid UTF-8, at most 200 bytes of it
};

/** What one document says of one session. All text is valid UTF-8 without U+0000. */
struct Facts {
  std::string source_ip; ///< canonical text, at most 45 bytes; empty: none
  std::int32_t asn = 0;  ///< 1 to 2147483647; 0: none
  Provider asn_source = Provider::none;
  std::string country; ///< two capital letters, never XX; empty: none
  std::string ip_type; ///< the strongest usable type; empty: none
  std::vector<std::string> ip_types;
  std::string organization;
  std::string organization_country; ///< two capital letters, never XX; empty: none
  std::string registry;             ///< upper case, at most 10 characters; empty: none
  bool is_scanner = false;
  bool is_bogon = false;
  std::optional<std::int64_t> enriched_at; ///< microseconds since 1970-01-01 UTC
  bool has_document = false; ///< an object with at least one key (also when it is unparsable)
  bool has_provider_data =
      false; ///< provider_data() is an object with a key whose value is not null
  std::vector<RejectedValue> rejects;
};

/** The address that a raw event names. */
struct EventAddress {
  std::string ip; ///< canonical; empty: none
  std::vector<RejectedValue> rejects;
};

/** Tells whether a JSON text holds the escape \u0000, for which PostgreSQL's own operators raise.
 */
bool holds_null_escape(std::string_view json) noexcept;

/**
 * Reads documents one after the other and keeps its buffers between them.
 *
 * Use: read() once per document, then needs_event(), then resolve(), then, while the document is
 * the current one, provider_data() and asn_data(). Memory is a small multiple of the largest
 * document since the last release(); time is linear in the document.
 */
class EnrichmentReader {
public:
  EnrichmentReader();
  ~EnrichmentReader();
  EnrichmentReader(EnrichmentReader &&) noexcept;
  EnrichmentReader &operator=(EnrichmentReader &&) noexcept;
  EnrichmentReader(const EnrichmentReader &) = delete;
  EnrichmentReader &operator=(const EnrichmentReader &) = delete;

  /** Takes a document (UTF-8 JSON text; it is copied) and collects its values in one pass. */
  void read(std::string_view json);

  /** Tells whether the session's earliest raw event can decide its source IP: the document names
   *  no usable address, or only several usable keys of `session`. */
  bool needs_event() const noexcept;

  /**
   * Decides the facts of the current document.
   * @param known_ip the session's source IP where one is recorded already (kept as it is); or empty
   * @param event    the address its earliest raw event names; null where it was not asked
   * @return valid until the next read()
   */
  const Facts &resolve(std::string_view known_ip = {}, const EventAddress *event = nullptr);

  /** Returns the provider data as JSON text that jsonb accepts, flat shape; `{}` when none. */
  std::string provider_data() const;

  /** Returns the ASN fields of maxmind, cymru and dshield as JSON text that jsonb accepts. */
  std::string asn_data() const;

  /** Reads the address from a raw event's payload: `src_ip`, then `peer_ip`. */
  EventAddress read_event(std::string_view payload);

  /** Gives back buffers that an unusually large document left behind, and its facts with them. */
  void release() noexcept;

private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace cowrie
