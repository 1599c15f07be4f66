// Situation: a database against the declaration.
#include "core/schema/situation.hpp"

#include <algorithm>

#include "core/schema/versions.hpp"

namespace cowrie {
namespace {

bool has_errors(const std::vector<Finding> &findings, int last_phase) {
  return std::any_of(findings.begin(), findings.end(), [&](const Finding &each) {
    return each.severity == Severity::error && each.object_type != ObjectType::version &&
           each.phase <= last_phase;
  });
}

Finding version_finding(const Schema &declared, const Situation &situation, int phases_present) {
  const auto words = [&](int version, int phases) {
    return "version " + std::to_string(version) + " recorded, " + std::to_string(phases) + " of " +
           std::to_string(declared.last_phase()) + " phases present";
  };
  Finding finding;
  finding.object_type = ObjectType::version;
  finding.object = "schema_version";
  finding.problem = Problem::wrong;
  finding.expected = words(declared.version, declared.last_phase());
  finding.actual = words(situation.version, phases_present);
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
  for (int phase = 1; phase <= declared.last_phase(); ++phase)
    if (std::none_of(situation.findings.begin(), situation.findings.end(),
                     [&](const Finding &each) { return each.phase == phase; }))
      ++phases_present;

  // That the rows were derived is known from this record alone; of what changes the catalog alone
  // the catalog tells, whoever has done it.
  const int deriving = declared.last_deriving_phase();
  const bool recorded = subphase.value_or(0) >= deriving;
  const bool whole = situation.findings.empty();
  situation.derived = recorded && version >= declared.version_after(deriving) &&
                      !has_errors(situation.findings, deriving);
  if (!whole || version < declared.version) {
    situation.findings.push_back(version_finding(declared, situation, phases_present));
  } else if (!recorded) {
    Finding finding = version_finding(declared, situation, phases_present);
    finding.object = "schema_subphase";
    finding.problem = subphase ? Problem::wrong : Problem::missing;
    finding.expected = subphase_text(deriving);
    finding.actual = subphase ? subphase_text(*subphase) : "";
    situation.findings.push_back(finding);
  }

  if (version == base_version && !subphase && situation.objects.empty())
    situation.state = SchemaState::version15;
  else if (whole && version >= declared.version && recorded)
    situation.state = SchemaState::complete;
  else if (subphase && *subphase >= 1 && *subphase < declared.last_phase() &&
           version == declared.version_after(*subphase) &&
           !has_errors(situation.findings, *subphase) &&
           existing_objects(declared, observed, *subphase).empty())
    situation.state = SchemaState::resumable;
  return situation;
}

} // namespace cowrie
