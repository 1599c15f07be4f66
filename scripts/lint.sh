#!/usr/bin/env bash
# Looks at every file of the sources, changes nothing:
#
#   clang-format  the format of C++ (.clang-format)
#   clang-tidy    errors and waste in C++ (.clang-tidy)
#   rules         what may stand where, which wing may include which, how long files and functions may
#                 be: see CONTRIBUTING.md and scripts/map.pl
#   shell         shellcheck
#   perl          the Perl of the tests compiles, without a warning
#   spelling      codespell
#   links         of the pages lead somewhere; files that they name are there
#   markdown      mdl (.mdlrc)
#   wrapping      paragraphs of pages are wrapped at 100 columns: scripts/wrap-markdown.pl
#   prose         pages have none of the words of scripts/private-words.txt: scripts/prose.sh
#
# A line per check says how many files passed, failed or were skipped. What depends on the version of a
# tool runs where the tools are those of Debian 12, for which the configurations are written; elsewhere it
# is skipped, and says so.
#
#   CHECKS="perl links"   only these
#   LINT_JOBS=2              how many files at a time; one per core by default
#   LINT_CHANGED=1           only files that differ from the branch "main", or from the last commit where that
#                            is main; what may stand where is looked at as a whole all the same
#   COWRIE_FULL=1            clang's static analyzer too, and every source by itself: minutes
# shellcheck disable=SC2154,SC2317 # select_files fills the arrays; functions are called by their names
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8

checks=" ${CHECKS:-clang-format clang-tidy rules shell perl spelling links markdown wrapping prose} "
jobs=${LINT_JOBS:-$(nproc)}
pg_config=${PG_CONFIG:-/usr/lib/postgresql/${PG:-15}/bin/pg_config}
[ -x "$pg_config" ] || pg_config=pg_config
clang_version=14
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# The files of a repository, or of a tree without git: what was built is in build/, beside it only
# objects and the like.
if git rev-parse --git-dir >/dev/null 2>&1; then
  mapfile -d '' files < <(git ls-files -z --cached --others --exclude-standard)
else
  mapfile -d '' files < <(find . -path ./build -prune -o -type f ! -name '*.o' ! -name '*.d' ! -name '*.so' \
    -printf '%P\0')
fi
# Of these the ones that have changed; there is no git, or no main: all.
if [ -n "${LINT_CHANGED:-}" ] && base=$(git merge-base HEAD main 2>/dev/null); then
  mapfile -t changed < <(git diff --name-only "$base" -- && git ls-files --others --exclude-standard)
else
  changed=("${files[@]}")
fi
select_changed() { # select_changed ARRAY PATTERN...
  local -n chosen=$1
  local all=() file
  shift
  select_files all "$@"
  chosen=()
  for file in "${all[@]}"; do
    case " ${changed[*]} " in *" $file "*) chosen+=("$file") ;; esac
  done
}
select_files() { # select_files ARRAY PATTERN...: those that exist and match
  local -n selected=$1
  local file pattern
  shift
  selected=()
  for file in "${files[@]}"; do
    for pattern in "$@"; do
      # shellcheck disable=SC2053 # a pattern
      if [[ $file == $pattern && -f $file ]]; then
        selected+=("$file")
        break
      fi
    done
  done
}

wanted() { case $checks in *" $1 "*) ;; *) return 1 ;; esac; }
report() { # report NAME FILES FAILED OUTPUT
  printf '%-12s %4d passed, %d failed\n' "$1" $(($2 - $3)) "$3"
  if [ "$3" -gt 0 ]; then
    cat "$4"
    status=1
  fi
}

# Runs a command for every file, several at a time; its output is shown where it fails.
each() { # each NAME FILE... -- COMMAND...
  local name=$1 count=0 failed dir
  shift
  dir=$(mktemp -d "$work/XXXXXX")
  touch "$dir/list"
  while [ "$1" != -- ]; do
    printf '%s\0' "$1" >>"$dir/list"
    count=$((count + 1))
    shift
  done
  shift
  # shellcheck disable=SC2016 # expanded inside
  xargs -0 -P "$jobs" -I '{}' bash -c '
    dir=$1 file=$2
    shift 2
    log=$dir/${file//\//_}.log
    "$@" "$file" >"$log" 2>&1 || { echo "$file: failed" >>"$log"; mv "$log" "$log.failed"; }
  ' bash "$dir" '{}' "$@" <"$dir/list"
  failed=$(find "$dir" -name '*.failed' | wc -l)
  find "$dir" -name '*.failed' -exec cat {} + >"$dir/output"
  report "$name" "$count" "$failed" "$dir/output"
}
# Runs a command once for all files; it says FILE:LINE… of each that fails.
together() { # together NAME FILE... -- COMMAND...
  local name=$1 failed ok=yes list=()
  shift
  while [ "$1" != -- ]; do
    list+=("$1")
    shift
  done
  shift
  [ ${#list[@]} -gt 0 ] || { report "$name" 0 0 && return; }
  "$@" "${list[@]}" >"$work/$name.out" 2>&1 || ok=no
  failed=$(sed -nE 's/^([^:]+):[0-9]+:.*/\1/p' "$work/$name.out" | sort -u | wc -l)
  [ "$ok" = yes ] || [ "$failed" -gt 0 ] || failed=1
  report "$name" ${#list[@]} "$failed" "$work/$name.out"
}
of_this_release() { # of_this_release NAME TOOL: whether the tool is the one that the rules are for
  local found=none
  ! command -v clang-format >/dev/null || found=$(clang-format --version | sed -nE 's/.*version ([0-9]+)\..*/\1/p')
  if [ "$found" != "$clang_version" ]; then
    printf '%-12s skipped: the rules are for the tools of Debian 12 (clang %s); here it is %s\n' "$1" "$clang_version" "$found"
    return 1
  elif ! command -v "$2" >/dev/null; then
    echo "there is no $2: scripts/install-packages.sh installs it"
    printf '%-12s    0 passed, 1 failed\n' "$1"
    status=1
    return 1
  fi
}

# Files of one folder, as one, as they are compiled: their headers are read once, which takes a fifth of the time.
tidy() {
  local text=$work/${1//\//_}.cpp checks=-bugprone-suspicious-include options
  [ "${COWRIE_FULL:-}" != 1 ] || checks+=',clang-analyzer-*'
  mapfile -t options < <(options_of_compiler)
  printf '#include "%s"\n' "${@/#/$PWD/}" >"$text"
  clang-tidy --quiet --config-file=.clang-tidy --checks="$checks" "$text" -- "${options[@]}"
}
options_of_compiler() {
  printf '%s\n' -std=gnu++17 -Isrc -isystem "$("$pg_config" --includedir-server)" \
    '-DPGDLLEXPORT=__attribute__((visibility("default")))' -Wno-register
}
# The modules of the server's own tests are part of its development files.
compile_perl() {
  local said
  said=$(perl -wc -I "$(dirname "$("$pg_config" --pgxs)")/../test/perl" -I test/t "$1" 2>&1) || { echo "$said"; return 1; }
  [ "$said" = "$1 syntax OK" ] || { echo "$said"; return 1; }
}
export -f tidy options_of_compiler compile_perl
export pg_config work

# The modules: what must stand in one place only. Each rule: a name, the files that may, a pattern.
rules() {
  local result=0 sources=("$@")
  only_in() { # only_in WHAT ALLOWED-FILE PATTERN
    local found
    found=$(grep -nE "$3" /dev/null "${sources[@]}" | grep -vE "^$2:" | grep -vE '^[^:]+:[0-9]+: *(//|/?\*)' || true)
    [ -z "$found" ] || { printf '%s\n  %s\n' "$found" "$1"; result=1; }
  }
  only_in 'the version of the server is asked for in pg/boundary/compat.hpp only' 'src/(pg/boundary/compat|core/base/pure)\.hpp' '\bPG_VERSION_NUM\b'
  only_in 'PG_TRY stands in pg/boundary/guard.cpp only' src/pg/boundary/guard.cpp '\bPG_(TRY|CATCH|FINALLY)\b'
  only_in 'server headers are included in pg/boundary/imports.h only' src/pg/boundary/imports.h \
    '#include "(access|catalog|commands|executor|libpq|mb|miscadmin|nodes|parser|postgres|storage|tcop|utils|fmgr|funcapi)[./]'
  only_in 'a script of the extension takes over nothing that stands under a name' '-' \
    '^(CREATE|ALTER) (.* )?(OR REPLACE|IF NOT EXISTS)\b'
  only_in 'an error has an SQLSTATE: ereport, not elog' '-' '\b[e]log\('
  only_in 'who acts as another role does it by AsUser (pg/boundary/settings.hpp)' \
    'src/pg/(boundary/settings\.hpp|ledger/progress\.cpp|online/statement_worker\.cpp)' '\bSetUserIdAndSecContext\('
  only_in 'pg/catalog/trust.cpp decides who is trusted' src/pg/catalog/trust.cpp '\b(superuser_arg|is_member_of_role[a-z_]*|has_createrole_privilege)\('
  only_in 'a column is found with its type: pg/catalog/typed_columns.cpp' src/pg/catalog/typed_columns.cpp 'NameStr\([a-z_]+->attname'
  only_in 'a scan that goes on from row to row is begun and asked in memory that outlives the row; add the file once it is' \
    'src/pg/(boundary/compat\.hpp|reading/(event_scan|read_ahead_worker|unfilled)\.cpp|rewrite/(heap_rewrite|stored_rows)\.cpp)' \
    '\b(index_(beginscan|rescan|getnext)|table_beginscan|heap_getnext|scan_range_unsafe)'
  only_in 'the run lock is taken in pg/database/run_lock.cpp' src/pg/database/run_lock.cpp '\bLockAcquire\(|advisory_lock'
  # An online migration finds its tables by their comment, which therefore stays as it is; what was released, too.
  only_in 'messages are in the words of PostgreSQL'"'"'s manual' '(src/core/sql/online\.hpp|sql/cowrie_migrate--1\.0(--1\.1)?\.sql)' \
    "[\"'][^\"']*\\b([Mm]end(ed|s)?|anew|beside|tells?|told|let go|in the way|by hand|meanwhile|somebody|whoever|[Ll]ook (at|for|into|whether))\\b[^\"']*[\"']"
  perl scripts/map.pl --check || result=1
  return "$result"
}

if wanted clang-format && of_this_release clang-format clang-format; then
  select_changed sources '*.cpp' '*.hpp' '*.h'
  together clang-format "${sources[@]}" -- clang-format --dry-run -Werror
fi
if wanted clang-tidy && of_this_release clang-tidy clang-tidy; then
  select_changed sources 'src/*.cpp'
  ok=yes at_a_time=1000
  [ "${COWRIE_FULL:-}" != 1 ] || at_a_time=1
  mapfile -t folders < <(printf '%s\n' "${sources[@]}" | sed 's:[^/]*$::' | sort -u)
  for folder in "${folders[@]}"; do
    # in the long tests each by itself, which shows that it includes what it uses
    printf '%s\n' "${sources[@]}" | grep "^${folder}[^/]*\$" | xargs -n "$at_a_time"
  done | xargs -r -P "$jobs" -I '{}' bash -c 'tidy {}' >"$work/tidy" 2>&1 || ok=no
  failed=$(sed -nE "s,^$PWD/(src/[^:]+):[0-9]+:.* (error|warning): .*,\1,p" "$work/tidy" | sort -u | wc -l)
  [ "$ok" = yes ] || [ "$failed" -gt 0 ] || failed=1
  report clang-tidy "${#sources[@]}" "$failed" "$work/tidy"
fi
if wanted rules; then
  select_files sources 'src/*.cpp' 'src/*.hpp' 'src/*.h' 'sql/cowrie_migrate--*.sql'
  together rules "${sources[@]}" -- rules
fi
if wanted shell && of_this_release shell shellcheck; then
  select_changed sources '*.sh' .ci/run debian/tests/installcheck test/bin/initdb
  each shell "${sources[@]}" -- shellcheck -x
fi
if wanted perl; then
  select_changed sources '*.pl' '*.pm'
  each perl "${sources[@]}" -- bash -c 'compile_perl "$@"' compile_perl
fi
if wanted spelling && of_this_release spelling codespell; then
  select_changed sources '*'
  texts=()
  for file in "${sources[@]}"; do
    case $file in *.out | *.svg | test/fuzz/corpus/*) ;; *) texts+=("$file") ;; esac
  done
  together spelling "${texts[@]}" -- codespell -L asend,ser,nd,hist,nin,isnt,fro,truely
fi
select_changed sources '*.md'
if wanted links; then
  together links "${sources[@]}" -- perl scripts/check-links.pl
fi
if wanted markdown && of_this_release markdown mdl; then
  together markdown "${sources[@]}" -- mdl
fi
pages=()
wrapped=()
for file in "${sources[@]}"; do
  case $file in README.md | CONTRIBUTING.md | CHANGELOG.md | docs/*) pages+=("$file") ;; esac
  # where the lines of docs/REFERENCE.md end is for the catalog to say
  case $file in docs/REFERENCE.md) ;; README.md | CONTRIBUTING.md | CHANGELOG.md | docs/*) wrapped+=("$file") ;; esac
done
if wanted wrapping; then
  together wrapping "${wrapped[@]}" -- perl scripts/wrap-markdown.pl --check
fi
if wanted prose && of_this_release prose codespell; then
  together prose "${pages[@]}" -- scripts/prose.sh
fi
exit "$status"
