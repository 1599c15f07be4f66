// Documents: reading one, and finding things in it again.
//
// What it may know: JSON text. Error regime: State; only std::bad_alloc is thrown.
#include "core/document/document.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

#include "core/document/document_walk.hpp"
#include "core/base/pure.hpp"

namespace cowrie {

namespace {

constexpr std::size_t deepest_nesting = 1000;
constexpr std::string_view json_spaces = " \t\n\r";
constexpr std::size_t smallest_capacity = std::size_t{16} * 1024;
constexpr std::size_t usual_capacity = std::size_t{1024} * 1024; // what release() leaves in place

bool same_key(std::string_view a, std::string_view b) {
  std::string text_a;
  std::string text_b;
  return json::text_of(a, text_a) == json::text_of(b, text_b);
}

/** Tells whether text that is no JSON, or too deep, begins as an object with a key does. */
bool begins_with_key(std::string_view text) noexcept {
  const std::size_t open = text.find_first_not_of(json_spaces);
  if (open == std::string_view::npos || text[open] != '{')
    return false;
  const std::size_t next = text.find_first_not_of(json_spaces, open + 1);
  return next != std::string_view::npos && text[next] != '}';
}

} // namespace

bool is_encoded_twice(std::string_view json) noexcept {
  const std::size_t quote = json.find_first_not_of(json_spaces);
  if (quote == std::string_view::npos || json[quote] != '"')
    return false;
  std::size_t at = quote + 1;
  while (at < json.size()) { // spaces in a string may be escaped
    if (json[at] == ' ')
      ++at;
    else if (json[at] == '\\' && at + 1 < json.size() && std::strchr("nrt", json[at + 1]))
      at += 2;
    else
      break;
  }
  return at < json.size() && json[at] == '{';
}

namespace {

/** Throws when memory ran out: no document is to blame for that. */
error_code checked(error_code error) {
  if (error == simdjson::MEMALLOC)
    throw std::bad_alloc();
  return error;
}

} // namespace

struct Document::Parser {
  ondemand::parser parser;

  /** Runs the first stage over a text that padding, or more of the document, follows. */
  error_code start(std::string_view json, std::size_t allocated, ondemand::document &document) {
    if (parser.capacity() < json.size()) {
      // Grows by doubling: documents come in every size, and each allocation is paid in page
      // faults.
      std::size_t capacity = std::max(smallest_capacity, parser.capacity() * 2);
      capacity = std::max(capacity, json.size());
      RETURN_IF_ERROR(parser.allocate(std::min(capacity, parser.max_capacity())));
    }
    return parser.iterate(json.data(), json.size(), allocated).get(document);
  }
};

std::string_view slot_path(Slot slot) noexcept {
  static constexpr std::string_view names[slot_count] = {"session_metadata",
                                                         "session_metadata.source_ip",
                                                         "dshield",
                                                         "dshield.ip",
                                                         "dshield.ip.number",
                                                         "dshield.ip.asn",
                                                         "dshield.ip.asname",
                                                         "dshield.ip.ascountry",
                                                         "maxmind",
                                                         "maxmind.asn",
                                                         "maxmind.asn_org",
                                                         "maxmind.country",
                                                         "cymru",
                                                         "cymru.asn",
                                                         "cymru.asn_org",
                                                         "cymru.country",
                                                         "cymru.registry",
                                                         "greynoise",
                                                         "greynoise.noise",
                                                         "validation",
                                                         "validation.is_bogon",
                                                         "enriched_at",
                                                         "raw_events.payload.src_ip",
                                                         "raw_events.payload.peer_ip"};
  return slot == Slot::none ? std::string_view{} : names[static_cast<std::size_t>(slot)];
}

void NonNullKeys::note(std::string_view key_body, bool is_null) {
  if (!is_null) {
    if (candidate_.data() == nullptr)
      candidate_ = key_body;
  } else if (candidate_.data() != nullptr && same_key(candidate_, key_body)) {
    candidate_ = {};
    lost_ = true;
  }
}

void Values::clear() noexcept {
  tokens.fill({});
  types.clear();
  types_in_list = false;
  provider_keys = {};
}

Document::Document() : parser_(std::make_unique<Parser>()) {}
Document::~Document() = default;

void Document::take(std::string_view json) {
  const std::size_t needed = json.size() + simdjson::SIMDJSON_PADDING;
  if (capacity_ < needed) {
    buffer_.reset();
    const std::size_t capacity = std::max({smallest_capacity, capacity_ * 2, needed});
    capacity_ = 0;
    buffer_.reset(new char[capacity]);
    capacity_ = capacity;
  }
  size_ = json.size();
  if (size_ > 0)
    std::memcpy(buffer_.get(), json.data(), size_);
  std::memset(buffer_.get() + size_, ' ', simdjson::SIMDJSON_PADDING);
}

void Document::forget_session() noexcept {
  entry_.clear();
  kept_entry_ = no_entry;
  selected_ = no_entry;
  first_session_key_ = {};
  entries_.clear();
  several_ips_ = false;
}

void Document::become_unparsable() noexcept {
  state_ = State::unparsable;
  has_keys_ = begins_with_key(text());
  top_.clear();
  forget_session();
}

void Document::read(std::string_view json, Shape shape) {
  state_ = State::no_object;
  has_keys_ = false;
  top_.clear();
  forget_session();
  size_ = 0;
  const std::size_t start = json.find_first_not_of(json_spaces);
  // What the application writes when there is no enrichment; it needs no parser.
  if (start == std::string_view::npos || json == "null")
    return;
  take(json);
  if (json.size() > std::numeric_limits<std::uint32_t>::max()) {
    become_unparsable();
    return;
  }
  if (json::nested_deeper_than(json, deepest_nesting)) {
    state_ = State::too_deep;
    has_keys_ = begins_with_key(text());
    return;
  }
  ondemand::document document;
  if (checked(parser_->start(text(), capacity_, document)) != simdjson::SUCCESS) {
    become_unparsable();
    return;
  }
  if (json[start] != '{') {
    if (!starts_value(json.substr(start)) || is_encoded_twice(json))
      become_unparsable();
    return;
  }
  state_ = State::parsed;
  Walk walk{*this, document};
  const paths::Level level =
      shape == Shape::enrichment ? paths::Level(paths::top) : paths::Level(paths::raw_event);
  if (checked(walk.root(level)) != simdjson::SUCCESS)
    become_unparsable();
}

void Document::note_entry(std::string_view key, const IpAddress &ip, std::string_view value,
                          bool kept) {
  const auto offset = [this](std::string_view part) {
    return static_cast<std::uint32_t>(part.data() - buffer_.get());
  };
  const Entry entry{offset(key), static_cast<std::uint32_t>(key.size()), offset(value),
                    static_cast<std::uint32_t>(value.size())};
  if (entries_.empty())
    first_ip_ = ip;
  else if (ip != first_ip_)
    several_ips_ = true;
  // A repeated key replaces what it repeats: a million of them need the memory of one.
  if (!entries_.empty() && ip == last_ip_) {
    entries_.back() = entry;
    if (kept_entry_ == entries_.size() - 1)
      kept_entry_ = no_entry;
  } else {
    entries_.push_back(entry);
  }
  last_ip_ = ip;
  if (kept)
    kept_entry_ = entries_.size() - 1;
}

std::size_t Document::find_entry(const IpAddress &address) {
  if (entries_.size() == 1)
    return address == first_ip_ ? 0 : no_entry;
  for (std::size_t index = entries_.size(); index-- > 0;) {
    const std::string_view key = {buffer_.get() + entries_[index].key_at, entries_[index].key_size};
    IpAddress ip;
    if (parse_ip_address(json::text_of(key, scratch_), ip) == ValueState::used && ip == address)
      return index;
  }
  return no_entry;
}

bool Document::has_session_entry(const IpAddress &address) {
  return find_entry(address) != no_entry;
}

const Values *Document::entry_of(const IpAddress &address) {
  selected_ = find_entry(address);
  if (selected_ == no_entry || value_of(entries_[selected_]).front() != '{')
    return nullptr;
  if (selected_ == kept_entry_)
    return &entry_;
  const Entry &entry = entries_[selected_];
  unkept_.clear();
  ondemand::document document;
  error_code error = parser_->start(value_of(entry), capacity_ - entry.value_at, document);
  if (error == simdjson::SUCCESS)
    error = Walk{*this, document}.entry(unkept_);
  // read() has walked it already. What fails now is broken text that happened to be balanced there.
  return checked(error) == simdjson::SUCCESS ? &unkept_ : nullptr;
}

bool Document::provider_members(Level level, std::vector<Member> &members, std::string &key_texts) {
  if (state_ != State::parsed)
    return false;
  std::string_view json = text();
  if (level == Level::entry) {
    if (selected_ == no_entry || value_of(entries_[selected_]).front() != '{')
      return true;
    json = value_of(entries_[selected_]);
  }
  const std::size_t at = static_cast<std::size_t>(json.data() - buffer_.get());
  ondemand::document document;
  error_code error = parser_->start(json, capacity_ - at, document);
  if (error == simdjson::SUCCESS)
    error = Walk{*this, document}.members(members, key_texts, level == Level::entry);
  return checked(error) == simdjson::SUCCESS;
}

bool Document::release() noexcept {
  if (capacity_ <= usual_capacity)
    return false;
  read({}, Shape::enrichment);
  buffer_.reset();
  capacity_ = 0;
  parser_->parser = ondemand::parser();
  top_.types = {};
  entry_.types = {};
  unkept_.types = {};
  entries_ = {};
  scratch_ = {};
  return true;
}

} // namespace cowrie
