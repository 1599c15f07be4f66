// Situation: a database against the declaration.
#include "core/schema/situation.hpp"

#include <algorithm>

namespace cowrie {
namespace {

bool has_errors(const std::vector<Finding> &findings, int last_phase) {
  return std::any_of(findings.begin(), findings.end(), [&](const Finding &each) {
    return each.severity == Severity::error && each.object_type != ObjectType::version &&
           each.phase <= last_phase;
  });
}

Finding version_finding(const Situation &situation, int phases_present) {
  Finding finding;
  finding.object_type = ObjectType::version;
  finding.object = "schema_version";
  finding.problem = Problem::wrong;
  finding.expected = "version 16 recorded, " + std::to_string(phase_count) + " of " +
                     std::to_string(phase_count) + " phases present";
  finding.actual = "version " + std::to_string(situation.version) + " recorded, " +
                   std::to_string(phases_present) + " of " + std::to_string(phase_count) +
                   " phases present";
  return finding;
}

} // namespace

Situation classify(const Schema &declared, const Schema &observed, const std::string &schema_name,
                   int version, std::optional<int> subphase) {
  Situation situation;
  situation.version = version;
  situation.subphase = subphase;
  situation.findings = diff(declared, observed, schema_name);
  situation.objects = existing_objects(declared, observed);

  int phases_present = 0;
  for (int phase = 1; phase <= phase_count; ++phase)
    if (std::none_of(situation.findings.begin(), situation.findings.end(),
                     [&](const Finding &each) { return each.phase == phase; }))
      ++phases_present;

  const bool whole = situation.findings.empty();
  if (!whole || version < 16) {
    situation.findings.push_back(version_finding(situation, phases_present));
  } else if (subphase != phase_count) {
    Finding finding = version_finding(situation, phases_present);
    finding.object = "schema_subphase";
    finding.problem = subphase ? Problem::wrong : Problem::missing;
    finding.expected = "16.5";
    finding.actual = subphase ? "16." + std::to_string(*subphase) : "";
    situation.findings.push_back(finding);
  }

  if (version == 15 && !subphase && situation.objects.empty())
    situation.state = SchemaState::version15;
  else if (whole && version >= 16 && subphase == phase_count)
    situation.state = SchemaState::complete;
  else if (version == 15 && subphase && *subphase >= 1 && *subphase < phase_count &&
           !has_errors(situation.findings, *subphase) &&
           existing_objects(declared, observed, *subphase).empty())
    situation.state = SchemaState::resumable;
  return situation;
}

} // namespace cowrie
