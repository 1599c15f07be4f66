// Writes scripts/cleanup_v16_incomplete.sql to standard output, for `make cleanup-script`.
#include <iostream>

#include "tools/cleanup_script.hpp"

int main() {
  std::cout << cowrie::cleanup_script();
  return std::cout.good() ? 0 : 1;
}
