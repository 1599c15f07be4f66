// Facts as one line of text, so that a test row can state all of them at once.
#pragma once

#include <string>

#include "core/document/enrichment.hpp"

namespace cowrie {

/** Writes what is there: `doc data ip=… asn=4134/maxmind cc=CN type=VPN types=VPN,PROXY org=…
 * orgcc=… reg=… scanner bogon at=…` and each reject as `!reason@field=value`. */
inline std::string text_of(const Facts &facts) {
  std::string out;
  const auto add = [&out](const std::string &word) { out += out.empty() ? word : " " + word; };
  const auto add_text = [&add](const char *name, const std::string &text) {
    if (!text.empty())
      add(name + text);
  };
  if (facts.has_document)
    add("doc");
  if (facts.has_provider_data)
    add("data");
  add_text("ip=", facts.source_ip);
  if (facts.asn != 0)
    add("asn=" + std::to_string(facts.asn) + "/" + std::string(provider_name(facts.asn_source)));
  add_text("cc=", facts.country);
  add_text("type=", facts.ip_type);
  std::string types;
  for (const std::string &type : facts.ip_types)
    types += types.empty() ? type : "," + type;
  add_text("types=", types);
  add_text("org=", facts.organization);
  add_text("orgcc=", facts.organization_country);
  add_text("reg=", facts.registry);
  if (facts.is_scanner)
    add("scanner");
  if (facts.is_bogon)
    add("bogon");
  if (facts.enriched_at)
    add("at=" + std::to_string(*facts.enriched_at));
  for (const RejectedValue &reject : facts.rejects)
    add("!" + std::string(reject_reason_name(reject.reason)) + "@" + reject.field + "=" +
        reject.value);
  return out;
}

} // namespace cowrie
