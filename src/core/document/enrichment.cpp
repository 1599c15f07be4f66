// Enrichment: which of the noted values become the facts of a session.
//
// Every fact has its sources in order of precedence; they are judged lazily, so that a value that
// nobody needed is never rejected. What it may know: documents and network values. Error regime:
// rejects; only std::bad_alloc is thrown.
#include "core/document/enrichment.hpp"

#include "core/document/document.hpp"
#include "core/document/fact_finder.hpp"
#include "core/document/ip_address.hpp"
#include "core/document/json_text.hpp"
#include "core/document/provider_data.hpp"
#include "core/base/pure.hpp"

namespace cowrie {

namespace {

void clear(Facts &facts) {
  // Member by member: the strings keep their memory.
  facts.source_ip.clear();
  facts.asn = 0;
  facts.asn_source = Provider::none;
  facts.country.clear();
  facts.ip_type.clear();
  facts.ip_types.clear();
  facts.organization.clear();
  facts.organization_country.clear();
  facts.registry.clear();
  facts.is_scanner = false;
  facts.is_bogon = false;
  facts.enriched_at.reset();
  facts.has_document = false;
  facts.has_provider_data = false;
  facts.rejects.clear();
}

bool is_broken(const Document &document) {
  return document.state() == Document::State::unparsable ||
         document.state() == Document::State::too_deep;
}

RejectedValue broken_document(const Document &document, const char *field) {
  const RejectReason reason = document.state() == Document::State::too_deep
                                  ? RejectReason::document_too_deep
                                  : RejectReason::document_unparsable;
  return {reason, field, json::excerpt(document.text())};
}

} // namespace

std::string_view reject_reason_name(RejectReason reason) noexcept {
  switch (reason) {
  case RejectReason::ip_invalid:
    return "ip_invalid";
  case RejectReason::asn_invalid:
    return "asn_invalid";
  case RejectReason::asn_out_of_range:
    return "asn_out_of_range";
  case RejectReason::country_invalid:
    return "country_invalid";
  case RejectReason::enriched_at_invalid:
    return "enriched_at_invalid";
  case RejectReason::document_unparsable:
    return "document_unparsable";
  case RejectReason::document_too_deep:
    return "document_too_deep";
  case RejectReason::value_too_long:
    return "value_too_long";
  }
  return {};
}

std::string_view provider_name(Provider provider) noexcept {
  switch (provider) {
  case Provider::maxmind:
    return "maxmind";
  case Provider::cymru:
    return "cymru";
  case Provider::dshield:
    return "dshield";
  case Provider::none:
    break;
  }
  return {};
}

struct EnrichmentReader::State {
  /** The address that a document itself names. */
  struct NamedAddress {
    enum class From : std::uint8_t { nothing, field, session, several_in_session };
    From from = From::nothing;
    IpAddress ip;
    std::vector<RejectedValue> rejects;
  };

  Document document;
  Document event; ///< apart, so that reading an event leaves the current document alone
  NamedAddress named;
  const Values *entry = nullptr; ///< of the source IP, as the last resolve() decided it
  Facts facts;
  std::string scratch;

  void find_named_address();
  std::optional<IpAddress> choose_source_ip(std::string_view known_ip, const EventAddress *event);
  void decide(std::string_view known_ip, const EventAddress *event);
};

void EnrichmentReader::State::find_named_address() {
  named.from = NamedAddress::From::nothing;
  named.rejects.clear();
  if (document.state() != Document::State::parsed)
    return;
  FactFinder finder(document.top(), scratch, named.rejects);
  if (finder.address({Slot::session_metadata_source_ip, Slot::dshield_ip_number}, named.ip)) {
    named.from = NamedAddress::From::field;
  } else if (document.has_session_ip()) {
    named.from = document.has_several_session_ips() ? NamedAddress::From::several_in_session
                                                    : NamedAddress::From::session;
    named.ip = document.first_session_ip();
  } else if (document.has_session_keys()) {
    named.rejects.push_back({RejectReason::ip_invalid, "session",
                             json::excerpt(json::text_of(document.first_session_key(), scratch))});
  }
}

/** Decides the source IP: its text into the facts, and the address to look the entry up with. */
std::optional<IpAddress> EnrichmentReader::State::choose_source_ip(std::string_view known_ip,
                                                                   const EventAddress *event) {
  std::optional<IpAddress> chosen;
  std::optional<IpAddress> told;
  IpAddress parsed;
  if (event != nullptr && parse_ip_address(event->ip, parsed) == ValueState::used)
    told = parsed;
  if (named.from == NamedAddress::From::nothing)
    chosen = told;
  else
    chosen = named.ip;
  if (named.from == NamedAddress::From::several_in_session && told &&
      document.has_session_entry(*told))
    chosen = told;
  if (!known_ip.empty()) {
    facts.source_ip = known_ip;
    if (parse_ip_address(known_ip, parsed) != ValueState::used)
      return std::nullopt;
    return parsed;
  }
  if (chosen) {
    IpText text;
    facts.source_ip = format_ip_address(*chosen, text);
  }
  return chosen;
}

void EnrichmentReader::State::decide(std::string_view known_ip, const EventAddress *event) {
  clear(facts);
  facts.has_document = document.has_keys();
  facts.rejects = named.rejects;
  entry = nullptr;
  document.leave_entry();
  const std::optional<IpAddress> source = choose_source_ip(known_ip, event);
  if (document.state() == Document::State::parsed && source)
    entry = document.entry_of(*source);
  if (document.state() == Document::State::parsed) {
    facts.has_provider_data = has_provider_data(document, entry);
    FactFinder finder(document.top(), scratch, facts.rejects);
    finder.look_into(entry, source ? *source : IpAddress{});
    finder.find(facts);
    std::string key_texts;
    if (const auto left_out = too_large_provider_data(document, key_texts))
      finder.reject_too_large(*left_out);
  }
}

EnrichmentReader::EnrichmentReader() : state_(std::make_unique<State>()) {}
EnrichmentReader::~EnrichmentReader() = default;
EnrichmentReader::EnrichmentReader(EnrichmentReader &&) noexcept = default;
EnrichmentReader &EnrichmentReader::operator=(EnrichmentReader &&) noexcept = default;

void EnrichmentReader::read(std::string_view json) {
  state_->entry = nullptr;
  state_->document.read(json, Document::Shape::enrichment);
  state_->find_named_address();
}

bool EnrichmentReader::needs_event() const noexcept {
  return state_->named.from == State::NamedAddress::From::nothing ||
         state_->named.from == State::NamedAddress::From::several_in_session;
}

const Facts &EnrichmentReader::resolve(std::string_view known_ip, const EventAddress *event) {
  State &state = *state_;
  state.decide(known_ip, event);
  if (is_broken(state.document))
    state.facts.rejects.push_back(broken_document(state.document, "enrichment"));
  if (event != nullptr)
    state.facts.rejects.insert(state.facts.rejects.end(), event->rejects.begin(),
                               event->rejects.end());
  return state.facts;
}

std::string EnrichmentReader::provider_data() const { return provider_data_of(state_->document); }

std::string EnrichmentReader::asn_data() const {
  return asn_data_of(state_->document.top(), state_->entry);
}

EventAddress EnrichmentReader::read_event(std::string_view payload) {
  EventAddress address;
  state_->event.read(payload, Document::Shape::raw_event);
  if (is_broken(state_->event)) {
    address.rejects.push_back(broken_document(state_->event, "raw_events.payload"));
    return address;
  }
  IpAddress ip;
  FactFinder finder(state_->event.top(), state_->scratch, address.rejects);
  if (finder.address({Slot::src_ip, Slot::peer_ip}, ip)) {
    IpText text;
    address.ip = format_ip_address(ip, text);
  }
  return address;
}

void EnrichmentReader::release() noexcept {
  constexpr std::size_t usual_text = std::size_t{1024} * 1024;
  state_->event.release();
  if (state_->scratch.capacity() > usual_text)
    state_->scratch = {};
  if (state_->document.release()) {
    state_->entry = nullptr;
    state_->facts = {};
    state_->named = {};
  }
}

bool holds_null_escape(std::string_view json) noexcept {
  constexpr std::string_view escape = "\\u0000";
  for (std::size_t at = json.find(escape); at != std::string_view::npos;
       at = json.find(escape, at + 1)) {
    // After an even number of backslashes it is an escape; after an odd one it is plain text.
    std::size_t before = at;
    while (before > 0 && json[before - 1] == '\\')
      --before;
    if ((at - before) % 2 == 0)
      return true;
  }
  return false;
}

} // namespace cowrie
