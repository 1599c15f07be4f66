// Provider data: merging the levels of a document, and writing them.
//
// What it may know: documents. Error regime: only std::bad_alloc is thrown.
#include "core/document/provider_data.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "core/base/text.hpp"
#include "core/document/json_text.hpp"
#include "core/base/pure.hpp"

namespace cowrie {

namespace {

constexpr std::string_view null_text = "null";

/** Sorts members by key and keeps the last of those that are equal, as json and jsonb do. Values
 *  are views into one text, so their addresses tell the order; sorting needs no memory. */
void keep_last_of_each(std::vector<Member> &members) {
  std::sort(members.begin(), members.end(), [](const Member &a, const Member &b) {
    const int order = a.key.compare(b.key);
    return order != 0 ? order < 0 : a.value.data() > b.value.data();
  });
  members.erase(std::unique(members.begin(), members.end(),
                            [](const Member &a, const Member &b) { return a.key == b.key; }),
                members.end());
}

Member *find(std::vector<Member> &members, std::string_view key) {
  const auto found =
      std::lower_bound(members.begin(), members.end(), key,
                       [](const Member &member, std::string_view k) { return member.key < k; });
  return found != members.end() && found->key == key ? &*found : nullptr;
}

bool has_value(const std::vector<Member> &members) {
  return std::any_of(members.begin(), members.end(),
                     [](const Member &member) { return member.value != null_text; });
}

void append_quoted(std::string &out, std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out.append("\\u00");
      out.push_back(hex[static_cast<unsigned char>(c) >> 4]);
      out.push_back(hex[static_cast<unsigned char>(c) & 0xF]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

/** Writes a JSON object key by key. */
class ObjectWriter {
public:
  explicit ObjectWriter(std::string &out) : out_(out) { out_.push_back('{'); }
  /** Begins a key; its value is to be appended. */
  std::string &key(std::string_view text) {
    if (!first_)
      out_.push_back(',');
    first_ = false;
    append_quoted(out_, text);
    out_.push_back(':');
    return out_;
  }
  void end() { out_.push_back('}'); }

private:
  std::string &out_;
  bool first_ = true;
};

/** Tells whether a level keeps a key with a value. Only a level where such a key was repeated as
 *  null has to be looked at again. */
bool keeps_value(Document &document, Document::Level level, const NonNullKeys &keys) {
  if (keys.certain())
    return keys.any();
  std::vector<Member> members;
  std::string key_texts;
  if (!document.provider_members(level, members, key_texts))
    return false;
  keep_last_of_each(members);
  return has_value(members);
}

bool present(std::string_view token) { return !token.empty() && token != null_text; }

struct AsnField {
  std::string_view name;
  Slot slot;
};

constexpr AsnField maxmind_fields[] = {{"asn", Slot::maxmind_asn},
                                       {"asn_org", Slot::maxmind_asn_org}};
constexpr AsnField cymru_fields[] = {{"asn", Slot::cymru_asn},
                                     {"asn_org", Slot::cymru_asn_org},
                                     {"country", Slot::cymru_country},
                                     {"registry", Slot::cymru_registry}};
constexpr AsnField dshield_fields[] = {{"asn", Slot::dshield_ip_asn},
                                       {"asname", Slot::dshield_ip_asname},
                                       {"ascountry", Slot::dshield_ip_ascountry}};

/** Writes the fields that are there; empty when none is. */
template <std::size_t n> std::string asn_object(const Values &values, const AsnField (&fields)[n]) {
  std::string out;
  ObjectWriter writer(out);
  for (const AsnField &field : fields)
    if (present(values[field.slot]) && values[field.slot].size() <= largest_provider_data)
      json::append_for_jsonb(writer.key(field.name), values[field.slot]);
  writer.end();
  return out.size() > 2 ? out : std::string{};
}

/** What provider_data_of() writes, in document order, and the first that is too large for it. */
struct Merged {
  std::string key_texts; // of escaped keys; the members point into it
  std::vector<Member> kept;
  std::optional<Member> left_out; // the first: there may be millions
};

void leave_out_what_is_too_large(Merged &merged) {
  std::size_t size = 0;
  const auto too_large = [&size](const Member &member) {
    const std::size_t larger = size + member.key.size() + member.value.size();
    if (larger > largest_provider_data)
      return true;
    size = larger;
    return false;
  };
  const auto first = std::find_if(merged.kept.begin(), merged.kept.end(), too_large);
  if (first == merged.kept.end())
    return;
  merged.left_out = *first;
  merged.kept.erase(std::remove_if(first, merged.kept.end(), too_large), merged.kept.end());
}

void merge(Document &document, Merged &merged) {
  std::vector<Member> &members = merged.kept;
  std::vector<Member> entry;
  if (!document.provider_members(Document::Level::top, members, merged.key_texts) ||
      !document.provider_members(Document::Level::entry, entry, merged.key_texts)) {
    members.clear();
    return;
  }
  keep_last_of_each(members);
  keep_last_of_each(entry);
  std::vector<Member> added;
  for (const Member &member : entry) {
    Member *same = find(members, member.key);
    if (same == nullptr)
      added.push_back(member);
    else if (same->value == null_text)
      *same = member;
  }
  members.insert(members.end(), added.begin(), added.end());
  std::sort(members.begin(), members.end(),
            [](const Member &a, const Member &b) { return a.value.data() < b.value.data(); });
  leave_out_what_is_too_large(merged);
}

} // namespace

std::string provider_data_of(Document &document) {
  Merged merged;
  merge(document, merged);
  std::string out;
  ObjectWriter writer(out);
  for (const Member &member : merged.kept)
    json::append_for_jsonb(writer.key(member.key), member.value);
  writer.end();
  return out;
}

std::optional<Member> too_large_provider_data(Document &document, std::string &key_texts) {
  if (document.text().size() <= largest_provider_data)
    return std::nullopt;
  Merged merged;
  merge(document, merged);
  key_texts = std::move(merged.key_texts);
  return merged.left_out;
}

bool has_provider_data(Document &document, const Values *entry) {
  if (document.text().size() > largest_provider_data) {
    Merged merged;
    merge(document, merged);
    return has_value(merged.kept);
  }
  return keeps_value(document, Document::Level::top, document.top().provider_keys) ||
         (entry != nullptr && keeps_value(document, Document::Level::entry, entry->provider_keys));
}

std::string asn_data_of(const Values &top, const Values *entry) {
  const auto level = [&](Slot provider) -> const Values & {
    return present(top[provider]) || entry == nullptr ? top : *entry;
  };
  std::string out;
  ObjectWriter writer(out);
  if (const std::string maxmind = asn_object(level(Slot::maxmind), maxmind_fields);
      !maxmind.empty())
    writer.key("maxmind").append(maxmind);
  if (const std::string cymru = asn_object(level(Slot::cymru), cymru_fields); !cymru.empty())
    writer.key("cymru").append(cymru);
  if (const std::string dshield = asn_object(level(Slot::dshield), dshield_fields);
      !dshield.empty())
    writer.key("dshield").append("{\"ip\":").append(dshield).append("}");
  writer.end();
  return out;
}

} // namespace cowrie
