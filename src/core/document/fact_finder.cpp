// Fact finder: the reading rules of schema version 16, one function per fact.
//
// What it may know: noted values and network values. Error regime: rejects; only std::bad_alloc is
// thrown.
#include "core/document/fact_finder.hpp"

#include <algorithm>

#include "core/base/ascii.hpp"
#include "core/base/text.hpp"
#include "core/document/ip_address.hpp"
#include "core/document/json_text.hpp"
#include "core/document/timestamp.hpp"
#include "core/base/pure.hpp"

namespace cowrie {

namespace {

constexpr std::size_t longest_indexed_text = 1000; // bytes; a btree entry must stay below 2700
constexpr std::size_t longest_registry = 10;       // characters: varchar(10)

/** The IP types from the strongest to the weakest. */
constexpr std::string_view type_order[] = {"VPN",        "TOR",         "PROXY",
                                           "DATACENTER", "RESIDENTIAL", "MOBILE"};
constexpr std::size_t type_count = sizeof(type_order) / sizeof(type_order[0]);

std::size_t rank_of(std::string_view type) noexcept {
  for (std::size_t rank = 0; rank < type_count; ++rank)
    if (ascii::equals_ignoring_case(type, type_order[rank]))
      return rank;
  return type_count;
}

Provider provider_of(Slot slot) noexcept {
  switch (slot) {
  case Slot::maxmind_asn:
    return Provider::maxmind;
  case Slot::cymru_asn:
    return Provider::cymru;
  case Slot::dshield_ip_asn:
    return Provider::dshield;
  default:
    return Provider::none;
  }
}

} // namespace

/** Hands the values that are there to `judge`, in order of precedence, until it takes one. */
template <typename Judge>
void FactFinder::first_usable(std::initializer_list<Slot> slots, Judge judge) {
  for (const Slot slot : slots) {
    for (const Values *values : {&top_, entry_}) {
      if (values == nullptr)
        continue;
      const std::string_view token = (*values)[slot];
      if (token.empty() || token == "null")
        continue;
      if (judge(Value{slot, token, values == entry_}))
        return;
    }
  }
}

std::string_view FactFinder::text_of(const Value &value) {
  return json::text_of(json::body_of(value.token), scratch_);
}

void FactFinder::reject(RejectReason reason, const Value &value) {
  const bool is_string = value.token.front() == '"';
  reject(reason, slot_path(value.slot), is_string ? text_of(value) : value.token, value.in_entry);
}

void FactFinder::reject(RejectReason reason, std::string_view path, std::string_view text,
                        bool in_entry) {
  std::string field;
  if (in_entry) {
    IpText ip;
    field.append("session.").append(format_ip_address(address_, ip)).append(".");
  }
  field.append(path);
  // A field can be a source of two facts (country, organization_country): it is reported once.
  for (const RejectedValue &earlier : rejects_)
    if (earlier.field == field)
      return;
  rejects_.push_back({reason, std::move(field), json::excerpt(text)});
}

void FactFinder::reject_too_large(const Member &member) {
  reject(RejectReason::value_too_long, json::excerpt(member.key), member.value, member.in_entry);
}

bool FactFinder::address(std::initializer_list<Slot> slots, IpAddress &found) {
  bool usable = false;
  first_usable(slots, [&](const Value &value) {
    const ValueState state =
        value.token.front() == '"' ? parse_ip_address(text_of(value), found) : ValueState::invalid;
    if (state == ValueState::invalid)
      reject(RejectReason::ip_invalid, value);
    usable = state == ValueState::used;
    return usable;
  });
  return usable;
}

void FactFinder::asn(Facts &facts) {
  first_usable({Slot::maxmind_asn, Slot::cymru_asn, Slot::dshield_ip_asn}, [&](const Value &value) {
    Parsed<std::int32_t> parsed{ValueState::invalid, 0};
    const json::Kind kind = json::kind_of(value.token);
    if (kind == json::Kind::string)
      parsed = parse_asn_text(text_of(value));
    else if (kind == json::Kind::number)
      parsed = parse_asn_number(value.token);
    if (parsed.state == ValueState::invalid)
      reject(RejectReason::asn_invalid, value);
    else if (parsed.state == ValueState::out_of_range)
      reject(RejectReason::asn_out_of_range, value);
    if (parsed.state != ValueState::used)
      return false;
    facts.asn = parsed.value;
    facts.asn_source = provider_of(value.slot);
    return true;
  });
}

void FactFinder::country(std::initializer_list<Slot> slots, std::string &found) {
  first_usable(slots, [&](const Value &value) {
    Parsed<std::string> parsed{ValueState::invalid, {}};
    if (value.token.front() == '"')
      parsed = parse_country(text_of(value));
    if (parsed.state == ValueState::invalid)
      reject(RejectReason::country_invalid, value);
    if (parsed.state != ValueState::used)
      return false;
    found = parsed.value;
    return true;
  });
}

void FactFinder::organization(Facts &facts) {
  first_usable({Slot::maxmind_asn_org, Slot::cymru_asn_org, Slot::dshield_ip_asname},
               [&](const Value &value) {
                 if (value.token.front() != '"')
                   return false;
                 const std::string_view text = text_of(value);
                 if (text.size() > longest_indexed_text) {
                   reject(RejectReason::value_too_long, value);
                   return false;
                 }
                 facts.organization = text;
                 return !text.empty();
               });
}

void FactFinder::registry(Facts &facts) {
  first_usable({Slot::cymru_registry}, [&](const Value &value) {
    if (value.token.front() != '"')
      return false;
    const std::string_view text = text_of(value);
    if (json::character_count(text) > longest_registry) {
      reject(RejectReason::value_too_long, value);
      return false;
    }
    facts.registry = text;
    std::transform(facts.registry.begin(), facts.registry.end(), facts.registry.begin(),
                   ascii::upper);
    return !text.empty();
  });
}

std::size_t strongest_of(const std::vector<std::string_view> &types) noexcept {
  std::size_t best = std::string_view::npos, best_rank = type_count;
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::size_t rank = rank_of(types[i]);
    const bool usable = !types[i].empty() && types[i].size() <= longest_indexed_text;
    if (usable && (rank < best_rank || best == std::string_view::npos)) {
      best = i;
      best_rank = rank;
    }
  }
  return best;
}

/** Takes the strongest type of one level, else the first that is not too long. */
bool FactFinder::strongest_type(const Values &values, Facts &facts) {
  std::size_t best_rank = type_count;
  std::string_view best;
  for (const std::string_view body : values.types) {
    const std::size_t rank = rank_of(json::text_of(body, scratch_));
    if (rank < best_rank) {
      best_rank = rank;
      best = body;
    }
  }
  if (best_rank == type_count) {
    for (const std::string_view body : values.types) {
      const std::string_view text = json::text_of(body, scratch_);
      if (text.size() <= longest_indexed_text) {
        best = body;
        break;
      }
      reject(RejectReason::value_too_long, values.types_in_list ? "spur" : "spur.client.types",
             text, &values == entry_);
    }
  }
  if (best.empty())
    return false;
  facts.ip_type = json::text_of(best, scratch_);
  return true;
}

void FactFinder::ip_types(Facts &facts) {
  for (const Values *values : {&top_, entry_}) {
    if (values == nullptr || values->types.empty())
      continue;
    if (facts.ip_types.empty())
      for (const std::string_view body : values->types)
        facts.ip_types.emplace_back(json::text_of(body, scratch_));
    if (strongest_type(*values, facts))
      return;
  }
}

bool FactFinder::flag(Slot slot) {
  bool found = false;
  first_usable({slot}, [&](const Value &value) {
    const bool is_string = value.token.front() == '"';
    const std::string_view text = is_string ? text_of(value) : value.token;
    found = is_string ? ascii::equals_ignoring_case(text, "TRUE") : text == "true";
    return found || (is_string ? ascii::equals_ignoring_case(text, "FALSE") : text == "false");
  });
  return found;
}

void FactFinder::enriched_at(Facts &facts) {
  const std::string_view token = top_[Slot::enriched_at];
  if (token.empty() || token == "null")
    return;
  const Value value{Slot::enriched_at, token, false};
  Parsed<std::int64_t> parsed{ValueState::invalid, 0};
  if (token.front() == '"')
    parsed = parse_timestamp(text_of(value));
  if (parsed.state == ValueState::used)
    facts.enriched_at = parsed.value;
  else if (parsed.state == ValueState::invalid)
    reject(RejectReason::enriched_at_invalid, value);
}

void FactFinder::find(Facts &facts) {
  asn(facts);
  country({Slot::maxmind_country, Slot::cymru_country, Slot::dshield_ip_ascountry}, facts.country);
  ip_types(facts);
  organization(facts);
  country({Slot::dshield_ip_ascountry, Slot::cymru_country}, facts.organization_country);
  registry(facts);
  facts.is_scanner = flag(Slot::greynoise_noise);
  facts.is_bogon = flag(Slot::validation_is_bogon);
  enriched_at(facts);
}

} // namespace cowrie
