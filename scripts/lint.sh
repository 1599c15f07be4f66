#!/usr/bin/env bash
# Formatting of C++, shell scripts, spelling. Changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
mapfile -d '' sources < <(find src test/unit test/fuzz -type f \
  \( -name '*.cpp' -o -name '*.hpp' -o -name '*.h' \) -print0 2>/dev/null)
if [ ${#sources[@]} -gt 0 ]; then
  clang-format --dry-run -Werror "${sources[@]}" || status=1
fi
shellcheck -x scripts/*.sh .ci/run || status=1
if command -v codespell >/dev/null; then
  mapfile -d '' texts < <(git ls-files -z -- ':!*.out' ':!test/fuzz/corpus')
  codespell -L asend,ser,nd,hist,nin,isnt,fro,truely "${texts[@]}" || status=1
fi
exit "$status"
