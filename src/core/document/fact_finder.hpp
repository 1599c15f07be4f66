// Fact finder: the sources of each fact, in order, and what makes one of them usable.
//
// What it may know: noted values and network values. Error regime: rejects; only std::bad_alloc is
// thrown.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "core/document/document.hpp"
#include "core/document/enrichment.hpp"

namespace cowrie {

/** Looks facts up: at the top level first, then in the session's entry, provider by provider. */
class FactFinder {
public:
  FactFinder(const Values &top, std::string &scratch, std::vector<RejectedValue> &rejects) noexcept
      : top_(top), scratch_(scratch), rejects_(rejects) {}

  /** Looks into an entry of `session` too; null: there is none. */
  void look_into(const Values *entry, const IpAddress &address) noexcept {
    entry_ = entry;
    address_ = address;
  }

  /** Finds an IP address in the first of these slots, of the top level, that has a usable one. */
  bool address(std::initializer_list<Slot> slots, IpAddress &found);

  /** Finds all facts but the source IP. Rejects come in the order of the facts. */
  void find(Facts &facts);

  /** Rejects a member of provider data that is too large. */
  void reject_too_large(const Member &member);

private:
  /** A value that is there: not missing, not null. */
  struct Value {
    Slot slot;
    std::string_view token;
    bool in_entry;
  };

  template <typename Judge> void first_usable(std::initializer_list<Slot> slots, Judge judge);
  void asn(Facts &facts);
  void country(std::initializer_list<Slot> slots, std::string &found);
  void organization(Facts &facts);
  void registry(Facts &facts);
  void ip_types(Facts &facts);
  bool strongest_type(const Values &values, Facts &facts);
  bool flag(Slot slot);
  void enriched_at(Facts &facts);

  std::string_view text_of(const Value &value);
  void reject(RejectReason reason, const Value &value);
  void reject(RejectReason reason, std::string_view path, std::string_view text, bool in_entry);

  const Values &top_;
  const Values *entry_ = nullptr;
  IpAddress address_;
  std::string &scratch_;
  std::vector<RejectedValue> &rejects_;
};

/** Tells which of several IP types, in this order, is the strongest; npos: none that could be
 *  indexed. The same rule as for a document. */
std::size_t strongest_of(const std::vector<std::string_view> &types) noexcept;

} // namespace cowrie
