// Core benchmark: nanoseconds per document for read() and resolve(), over documents of about 4 KB.
//
//   cmake --build build/unit --target core_bench && build/unit/core_bench [documents]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/document/enrichment.hpp"

namespace {

std::string filler(std::size_t size, unsigned seed) {
  std::string out = "{";
  for (unsigned i = 0; out.size() < size; ++i) {
    seed = seed * 1103515245U + 12345U;
    if (i > 0)
      out += ",";
    out += "\"key_" + std::to_string(i) + "\":{\"hash\":\"" + std::to_string(seed) +
           "a7f3c2e19b\",\"count\":" + std::to_string(seed % 1000) +
           ",\"tags\":[\"botnet\",\"ssh\"],\"seen\":\"2024-05-0" + std::to_string(seed % 9 + 1) +
           "\"}";
  }
  return out + "}";
}

std::string address(unsigned seed) {
  return std::to_string(seed % 200 + 1) + "." + std::to_string(seed / 7 % 255) + ".10." +
         std::to_string(seed / 3 % 255);
}

std::string providers(unsigned seed) {
  return R"("dshield":{"ip":{"number":")" + address(seed) +
         R"(","count":12,"attacks":34,"asn":"4134","asname":"CHINANET","ascountry":"CN"}},)"
         R"("maxmind":{"country":"CN","asn":4134,"asn_org":"Chinanet"},)"
         R"("cymru":{"asn":4134,"asn_org":"CHINANET-BACKBONE","country":"CN","registry":"apnic"},)"
         R"("spur":{"client":{"types":["DATACENTER","VPN"],"count":3}},)"
         R"("greynoise":{"noise":true},"validation":{"is_bogon":false},)";
}

std::string document(unsigned seed) {
  std::string out = "{";
  if (seed % 3 == 0) // nested
    out += "\"session\":{\"" + address(seed) + "\":{" + providers(seed) +
           "\"urlhaus\":" + filler(300, seed) + "}},";
  else
    out += providers(seed) + "\"urlhaus\":" + filler(300, seed) + ",";
  out += "\"session_metadata\":{\"source_ip\":\"" + address(seed) + "\"},";
  out += "\"password_stats\":" + filler(2600, seed) + ",\"virustotal\":" + filler(500, seed + 1);
  return out + ",\"enriched_at\":\"2025-01-02T03:04:05.678901+00:00\"}";
}

} // namespace

int main(int argc, char **argv) {
  const long rounds = argc > 1 ? std::atol(argv[1]) : 2000000;
  std::vector<std::string> documents;
  std::size_t bytes = 0;
  for (unsigned seed = 0; seed < 1024; ++seed) {
    documents.push_back(document(seed * 7919U));
    bytes += documents.back().size();
  }
  cowrie::EnrichmentReader reader;
  long with_asn = 0;
  const auto start = std::chrono::steady_clock::now();
  for (long i = 0; i < rounds; ++i) {
    reader.read(documents[static_cast<std::size_t>(i) % documents.size()]);
    with_asn += reader.resolve().asn != 0 ? 1 : 0;
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const double mean_size = static_cast<double>(bytes) / static_cast<double>(documents.size());
  std::printf("%ld documents of %.0f bytes: %.0f ns each, %.2f GB/s, %ld with an ASN\n", rounds,
              mean_size, elapsed.count() * 1e9 / static_cast<double>(rounds),
              mean_size * static_cast<double>(rounds) / elapsed.count() / 1e9, with_asn);
  return 0;
}
