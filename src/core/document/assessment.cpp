// Assessment: what a migration would make of the sessions, counted without changing any.
#include "core/document/assessment.hpp"

#include "core/base/text.hpp"

#include <cstring>
#include <limits>
#include <stdexcept>
#include <tuple>
#include <type_traits>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace cowrie {
namespace {

/** The first bytes of an id, so that they compare as the id does under collation "C". */
std::uint64_t beginning(std::string_view id) noexcept {
  std::uint64_t result = 0;
  for (std::size_t i = 0; i < sizeof result; ++i)
    result = result << 8 | (i < id.size() ? static_cast<unsigned char>(id[i]) : 0);
  return result;
}

/** Writes plain values and texts one after the other. */
class Writer {
public:
  template <typename Plain> void plain(const Plain &value) {
    static_assert(std::is_trivially_copyable_v<Plain>);
    out_.append(reinterpret_cast<const char *>(&value), sizeof value);
  }
  void text(std::string_view value) {
    plain(value.size());
    out_.append(value);
  }
  std::string take() { return std::move(out_); }

private:
  std::string out_;
};

class Reader {
public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  template <typename Plain> Plain plain() {
    Plain value{};
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view text() { return take(plain<std::size_t>()); }
  bool at_end() const noexcept { return rest_.empty(); }

private:
  std::string_view take(std::size_t size) {
    if (size > rest_.size())
      throw std::invalid_argument("an assessment ends early");
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::string_view rest_;
};

void write(Writer &out, const Examples &examples) {
  out.plain(examples.ids().size());
  for (const std::string &each : examples.ids())
    out.text(each);
}

Examples read_examples(Reader &in) {
  Examples result;
  for (auto left = in.plain<std::size_t>(); left > 0; --left)
    result.add(in.text());
  return result;
}

} // namespace

void Examples::add(std::string_view session_id) {
  if (ids_.size() == most && !(session_id < *ids_.rbegin()))
    return;
  ids_.emplace(session_id);
  if (ids_.size() > most)
    ids_.erase(std::prev(ids_.end()));
}

void Examples::add(const Examples &other) {
  for (const std::string &each : other.ids_)
    add(each);
}

std::string_view name_of(Measure measure) noexcept {
  constexpr std::array<std::string_view, measure_count> names = {
      "sessions",        "documents",    "source_ips",   "no_source_ip",  "asns",
      "countries",       "ip_types",     "null_escapes", "encoded_twice", "snapshots_due",
      "snapshots_there", "distinct_ips", "ips_once",     "covered_ips",   "distinct_asns"};
  return names[static_cast<std::size_t>(measure)];
}

void Assessment::Ip::add(const Ip &other) noexcept {
  sessions += other.sessions;
  has_asn |= other.has_asn;
  // The latest session that has provider data gives the country.
  if (other.has_provider_data &&
      (!has_provider_data || std::tie(other.ended, other.session) > std::tie(ended, session))) {
    has_provider_data = true;
    has_country = other.has_country;
    ended = other.ended;
    session = other.session;
  }
}

void Assessment::add(const AssessedSession &session) {
  const Facts &facts = *session.facts;
  const bool has_ip = !facts.source_ip.empty();
  const bool asn = facts.asn != 0;
  const bool country = !facts.country.empty();
  ++count(Measure::sessions);
  count(Measure::documents) += facts.has_document ? 1 : 0;
  count(Measure::source_ips) += has_ip ? 1 : 0;
  count(Measure::asns) += asn ? 1 : 0;
  count(Measure::countries) += country ? 1 : 0;
  count(Measure::ip_types) += facts.ip_type.empty() ? 0 : 1;
  if (has_ip) {
    const Ip seen{session.ended.value_or(std::numeric_limits<std::int64_t>::min()),
                  beginning(session.session_id),
                  1,
                  facts.has_provider_data,
                  asn,
                  country};
    const auto [place, is_new] =
        ips_.emplace(XXH3_64bits(facts.source_ip.data(), facts.source_ip.size()), seen);
    if (!is_new)
      place->second.add(seen);
  } else {
    ++count(Measure::no_source_ip);
    without_ip_.add(session.session_id);
  }
  if (asn)
    asns_.insert(facts.asn);
  if (has_ip && (asn || country)) {
    ++count(Measure::snapshots_due);
    if ((!asn || session.has_asn) && (!country || session.has_country))
      ++count(Measure::snapshots_there);
  }
  if (session.null_escape) {
    ++count(Measure::null_escapes);
    with_null_escape_.add(session.session_id);
  }
  if (session.encoded_twice) {
    ++count(Measure::encoded_twice);
    encoded_twice_.add(session.session_id);
  }
  for (const RejectedValue &each : facts.rejects) {
    const auto reason = static_cast<std::size_t>(each.reason);
    ++rejects_[reason];
    rejected_[reason].add(session.session_id);
  }
}

void Assessment::add(const Assessment &other) {
  for (std::size_t i = 0; i < measure_count; ++i)
    counts_[i] += other.counts_[i];
  for (std::size_t i = 0; i < reject_reason_count; ++i) {
    rejects_[i] += other.rejects_[i];
    rejected_[i].add(other.rejected_[i]);
  }
  without_ip_.add(other.without_ip_);
  with_null_escape_.add(other.with_null_escape_);
  encoded_twice_.add(other.encoded_twice_);
  for (const auto &[hash, ip] : other.ips_) {
    const auto [place, is_new] = ips_.emplace(hash, ip);
    if (!is_new)
      place->second.add(ip);
  }
  asns_.insert(other.asns_.begin(), other.asns_.end());
}

std::vector<Assessment::Amount> Assessment::amounts() const {
  std::int64_t once = 0, covered = 0;
  for (const auto &[hash, ip] : ips_) {
    once += ip.sessions == 1 ? 1 : 0;
    covered += ip.has_asn && ip.has_provider_data && ip.has_country ? 1 : 0;
  }
  std::vector<Amount> result;
  for (std::size_t i = 0; i < measure_count; ++i) {
    const auto measure = static_cast<Measure>(i);
    Amount each{name_of(measure), counts_[i], {}};
    switch (measure) {
    case Measure::no_source_ip:
      each.examples = without_ip_;
      break;
    case Measure::null_escapes:
      each.examples = with_null_escape_;
      break;
    case Measure::encoded_twice:
      each.examples = encoded_twice_;
      break;
    case Measure::distinct_ips:
      each.amount = static_cast<std::int64_t>(ips_.size());
      break;
    case Measure::ips_once:
      each.amount = once;
      break;
    case Measure::covered_ips:
      each.amount = covered;
      break;
    case Measure::distinct_asns:
      each.amount = static_cast<std::int64_t>(asns_.size());
      break;
    default:
      break;
    }
    result.push_back(std::move(each));
  }
  for (std::size_t i = 0; i < reject_reason_count; ++i)
    result.push_back({reject_reason_name(static_cast<RejectReason>(i)), rejects_[i], rejected_[i]});
  return result;
}

std::string Assessment::bytes() const {
  Writer out;
  out.plain(counts_);
  out.plain(rejects_);
  for (const Examples &each : rejected_)
    write(out, each);
  write(out, without_ip_);
  write(out, with_null_escape_);
  write(out, encoded_twice_);
  out.plain(ips_.size());
  for (const auto &[hash, ip] : ips_) {
    out.plain(hash);
    out.plain(ip);
  }
  out.plain(asns_.size());
  for (const std::int32_t each : asns_)
    out.plain(each);
  return out.take();
}

Assessment Assessment::from_bytes(std::string_view bytes) {
  Assessment result;
  Reader in(bytes);
  result.counts_ = in.plain<decltype(counts_)>();
  result.rejects_ = in.plain<decltype(rejects_)>();
  for (Examples &each : result.rejected_)
    each = read_examples(in);
  result.without_ip_ = read_examples(in);
  result.with_null_escape_ = read_examples(in);
  result.encoded_twice_ = read_examples(in);
  for (auto left = in.plain<std::size_t>(); left > 0; --left) {
    const auto hash = in.plain<std::uint64_t>();
    result.ips_.emplace(hash, in.plain<Ip>());
  }
  for (auto left = in.plain<std::size_t>(); left > 0; --left)
    result.asns_.insert(in.plain<std::int32_t>());
  if (!in.at_end())
    throw std::invalid_argument("an assessment does not end");
  return result;
}

} // namespace cowrie
