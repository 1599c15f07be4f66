// Paths: where providers put the values that are noted, as data.
//
// What it may know: names. Error regime: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/document/document.hpp"

namespace cowrie::paths {

/** What is done with the value under a key. */
enum class Take : std::uint8_t {
  leaf,    ///< it is noted
  object,  ///< if it is an object, its keys are looked at
  spur,    ///< as object; as a list its fourth element is an IP type
  client,  ///< as object; what it replaces are the IP types
  types,   ///< IP types: a string, or a list of strings
  session, ///< its keys are IP addresses, what is under them has the shape of the top level
  nothing, ///< it is known only to be no provider data
};

/** A key. Its slots, from `first` to `last`, are forgotten when the key is met again. */
struct Node {
  std::string_view name;
  Take take;
  Slot first;
  Slot last;
  const Node *children;
  std::size_t child_count;
  bool session_scoped; ///< never provider data
};

constexpr Node leaf(std::string_view name, Slot slot) {
  return {name, Take::leaf, slot, slot, nullptr, 0, false};
}
template <std::size_t n>
constexpr Node object(std::string_view name, Slot first, const Node (&children)[n],
                      bool session_scoped = false) {
  return {name, Take::object, first, children[n - 1].last, children, n, session_scoped};
}
template <std::size_t n>
constexpr Node types_in(std::string_view name, Take take, const Node (&children)[n]) {
  return {name, take, Slot::none, Slot::none, children, n, false};
}
constexpr Node unslotted(std::string_view name, Take take, bool session_scoped) {
  return {name, take, Slot::none, Slot::none, nullptr, 0, session_scoped};
}

inline constexpr Node session_metadata[] = {leaf("source_ip", Slot::session_metadata_source_ip)};
inline constexpr Node dshield_ip[] = {
    leaf("number", Slot::dshield_ip_number), leaf("asn", Slot::dshield_ip_asn),
    leaf("asname", Slot::dshield_ip_asname), leaf("ascountry", Slot::dshield_ip_ascountry)};
inline constexpr Node dshield[] = {object("ip", Slot::dshield_ip, dshield_ip)};
inline constexpr Node maxmind[] = {leaf("asn", Slot::maxmind_asn),
                                   leaf("asn_org", Slot::maxmind_asn_org),
                                   leaf("country", Slot::maxmind_country)};
inline constexpr Node cymru[] = {leaf("asn", Slot::cymru_asn), leaf("asn_org", Slot::cymru_asn_org),
                                 leaf("country", Slot::cymru_country),
                                 leaf("registry", Slot::cymru_registry)};
inline constexpr Node greynoise[] = {leaf("noise", Slot::greynoise_noise)};
inline constexpr Node validation[] = {leaf("is_bogon", Slot::validation_is_bogon)};
inline constexpr Node spur_client[] = {unslotted("types", Take::types, false)};
inline constexpr Node spur[] = {types_in("client", Take::client, spur_client)};

inline constexpr Node top[] = {
    object("dshield", Slot::dshield, dshield),
    object("maxmind", Slot::maxmind, maxmind),
    object("cymru", Slot::cymru, cymru),
    types_in("spur", Take::spur, spur),
    object("greynoise", Slot::greynoise, greynoise),
    object("validation", Slot::validation, validation),
    leaf("enriched_at", Slot::enriched_at),
    unslotted("session", Take::session, true),
    object("session_metadata", Slot::session_metadata, session_metadata, true),
    unslotted("password_stats", Take::nothing, true),
    unslotted("virustotal", Take::nothing, true),
};

/** An entry of `session`: the providers only. */
inline constexpr Node entry[] = {
    object("dshield", Slot::dshield, dshield),
    object("maxmind", Slot::maxmind, maxmind),
    object("cymru", Slot::cymru, cymru),
    types_in("spur", Take::spur, spur),
    object("greynoise", Slot::greynoise, greynoise),
    object("validation", Slot::validation, validation),
    unslotted("session", Take::nothing, true),
    unslotted("session_metadata", Take::nothing, true),
    unslotted("password_stats", Take::nothing, true),
    unslotted("virustotal", Take::nothing, true),
};

inline constexpr Node raw_event[] = {leaf("src_ip", Slot::src_ip), leaf("peer_ip", Slot::peer_ip)};

/** The keys of one level. */
struct Level {
  const Node *nodes;
  std::size_t count;

  template <std::size_t n> constexpr explicit Level(const Node (&all)[n]) : nodes(all), count(n) {}
  explicit constexpr Level(const Node &parent)
      : nodes(parent.children), count(parent.child_count) {}

  const Node *find(std::string_view key) const noexcept {
    for (std::size_t i = 0; i < count; ++i)
      if (nodes[i].name == key)
        return &nodes[i];
    return nullptr;
  }
};

} // namespace cowrie::paths
