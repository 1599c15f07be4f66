# shellcheck shell=bash
# A private PostgreSQL: a relocated copy of the installed server, our extension in it, and one
# throw-away cluster. Sourced by demo.sh and test.sh; nothing is written outside its directory.
#
#   . scripts/private-server.sh
#   private_server_create       work directory, server tree, extension installed into it
#   private_server_start        initdb and start; sets PGHOST, PGPORT, PGUSER, PGDATABASE
#   as_server_user CMD ...      runs a command as the user the server runs as
#   private_server_remove       stop and delete (installed as the trap on EXIT, INT and TERM)
#   private_server_reports DIR  how many reports a server that makes some has made, which are copied to DIR
#   private_server_keep         leave the server running and its directory in place
#
# PostgreSQL looks for its share and lib directories relative to its own binary, so a tree with the
# same relative layout, real binaries and symbolic links for the rest is a complete server.
#
# Sets: work (the directory), tree (the root of the server tree), bindir (of the programs in it).
#
# Nothing here depends on the environment of the caller but by the variables that are listed below, and what a
# run that was killed has left is removed by the next one.

# What is kept of the environment: who and where we are, how packages, compilers and libraries are found,
# and what our scripts can be told. Everything else is about other servers (PG*, PSQLRC), other builds
# (MAKEFLAGS, CFLAGS, COPT, DESTDIR, CMAKE_*, GTEST_*, GIT_DIR), other languages (LANGUAGE, LC_*) or other
# habits (CDPATH, HARNESS_OPTIONS), and has no say in these tests.
private_server_environment() {
  local name kept
  kept='PATH|PWD|HOME|USER|LOGNAME|SHELL|TERM|TMPDIR|SUDO_.*|DEBIAN_.*|APT_.*|.*_proxy|.*_PROXY'
  kept+='|CCACHE_.*|CPATH|CPLUS_INCLUDE_PATH|LIBRARY_PATH|LD_LIBRARY_PATH|CMAKE_PREFIX_PATH|PERL5LIB'
  kept+='|PG|PG_CONFIG|PG_TEST_TIMEOUT_DEFAULT|COWRIE_.*|BENCH_.*|MATRIX_.*|LINT_.*|JOBS'
  kept+='|PARTS|TAP|TESTS|SETTINGS|CHECKS|SESSIONS|KEEP'
  for name in $(compgen -e); do
    # some, such as SHELLOPTS, cannot be unset
    [[ $name =~ ^($kept)$ ]] || unset "$name" 2>/dev/null || true
  done
  for name in $(declare -Fx | sed 's/^declare -fx //'); do
    unset -f "$name"
  done
  # UTF-8 and English messages; times as the tests expect them
  export LC_ALL=C.UTF-8 TZ=UTC
  umask 022
}
private_server_environment

# From the environment: PG_CONFIG, or PG as the major version of Debian's packages.
if [ -z "${PG_CONFIG:-}" ]; then
  PG_CONFIG=/usr/lib/postgresql/${PG:-15}/bin/pg_config
  [ -x "$PG_CONFIG" ] || PG_CONFIG=pg_config
fi
export PG_CONFIG

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=''
# The server refuses to run as root.
server_user=''
[ "$(id -u)" -ne 0 ] || server_user=postgres

# In a directory that user can enter: the checkout may be out of its reach.
as_server_user() (
  cd "${work:-/}" || exit
  export HOME=${work:-/}
  unset CCACHE_DIR # that of the caller may be closed to this user
  if [ -n "$server_user" ]; then
    exec runuser -u "$server_user" -- "$@"
  else
    exec "$@"
  fi
)

# A directory that the server's user can reach, with a path short enough for a socket (107 bytes), and
# without characters that mean something in a connection string or a list of directories.
private_server_directory() {
  local base
  for base in "${TMPDIR:-/tmp}" /tmp; do
    if [[ ${#base} -le 60 && $base =~ ^/[A-Za-z0-9._/-]*$ ]] &&
      as_server_user test -w "$base" -a -x "$base" 2>/dev/null; then
      export TMPDIR=$base
      private_server_sweep
      work=$(mktemp -d "$base/cowrie_migrate.XXXXXX")
      private_server_memory
      [ -z "$server_user" ] || chown "$server_user" "$work"
      identity_of_process $$ >"$work/owner"
      # Files that do not exist: those in the caller's home are for other servers.
      export PGPASSFILE=$work/no-pgpass PGSERVICEFILE=$work/no-service PGSYSCONFDIR=$work/no-system
      return
    fi
  done
  echo 'no directory for temporary files that the server user can write to' >&2
  return 1
}

# Whoever sets this has the directory in memory, where that may be mounted and is large enough: creating the files
# of a database costs more on a disk than filling them.
server_in_memory=''
private_server_memory() {
  local available
  if [ "$server_in_memory" != yes ] || [ "$(id -u)" -ne 0 ]; then return; fi
  available=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo 2>/dev/null || true)
  if [ "${available:-0}" -ge 6000 ]; then
    mount -t tmpfs -o "size=$((available / 2))m,mode=700" tmpfs "$work" 2>/dev/null || true
  fi
}

# A process and when it began, as numbers come round again: "PID TICKS"; nothing when there is no such
# process or when it has ended (its parent need not have asked for its status: where nobody does, it stays in
# the list of processes), its number alone where /proc does not say more.
identity_of_process() {
  local stat
  kill -0 "$1" 2>/dev/null || [ -e "/proc/$1" ] || return 0
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || stat=''
  # behind the name, which may have spaces and brackets, come 19 fields before it
  # shellcheck disable=SC2086 # words
  set -- "$1" ${stat##*) }
  [ "${2:-}" != Z ] || return 0
  echo "$1${21:+ ${21}}"
}

# Ends what runs in a work directory, the process groups that are listed in it and all servers, and removes
# it with what is mounted there.
private_server_clear() {
  local group data mounted
  while read -r group; do
    [ "$(identity_of_process "${group%% *}")" != "$group" ] || kill -KILL -- "-${group%% *}" 2>/dev/null || true
  done < <(cat "$1/groups" 2>/dev/null)
  while read -r data; do
    as_server_user "$(private_server_program "$1" pg_ctl)" -D "$(dirname "$data")" -m immediate -s stop \
      >/dev/null 2>&1 || true
  done < <(find "$1" -name postmaster.pid 2>/dev/null)
  while read -r mounted; do
    umount -l "$mounted" || true
  done < <(awk -v top="$1" '$2 == top || index($2, top "/") == 1 { print $2 }' /proc/self/mounts 2>/dev/null | tac)
  # once more for what a process was still writing
  rm -rf "$1" 2>/dev/null || rm -rf "$1"
}

# Clears what runs have left that were killed. (Whose a directory is, its file "owner" says.)
private_server_sweep() {
  local base left owner
  for base in "$TMPDIR" /tmp; do
    for left in "$base"/cowrie_migrate.??????; do
      if [ ! -L "$left" ] && [ -O "$left/owner" ]; then
        owner=$(cat "$left/owner")
        if [ "$(identity_of_process "${owner%% *}")" != "$owner" ]; then
          echo "removing $left: the run that it belonged to was killed" >&2
          private_server_clear "$left"
        fi
      fi
    done
  done
}
# A program of the server tree in a directory; without one, the installed program.
private_server_program() {
  local found
  found=$(find "$1/server" -type f -name "$2" -perm -u+x -print -quit 2>/dev/null)
  echo "${found:-$("$PG_CONFIG" --bindir)/$2}"
}

# Links what is in one directory into another, except what we install ourselves.
link_all() {
  mkdir -p "$2"
  find "$1" -mindepth 1 -maxdepth 1 ! -name 'cowrie_migrate*' -exec ln -s -t "$2" {} +
}

private_server_create() {
  local programs share lib program
  trap private_server_remove EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  private_server_directory
  # Asked once: that it makes some does not depend on what becomes of its files.
  if [[ $("$PG_CONFIG" --configure) =~ --enable-cassert|-fsanitize=address ]]; then
    as_server_user mkdir "$work/reports"
    export ASAN_OPTIONS=log_path=$work/reports/asan
  fi
  tree=$work/server
  programs=$("$PG_CONFIG" --bindir)
  bindir=$tree$programs
  share=$("$PG_CONFIG" --sharedir)
  lib=$("$PG_CONFIG" --pkglibdir)

  # Programs by name: some distributions have them among all the others in /usr/bin.
  mkdir -p "$bindir"
  for program in "$programs"/{postgres,initdb,psql,pg_*,pgbench,*db,createuser,dropuser}; do
    [ ! -f "$program" ] || cp -L "$program" "$bindir"
  done
  link_all "$lib" "$tree$lib"
  link_all "$share" "$tree$share"
  rm "$tree$share/extension"
  link_all "$share/extension" "$tree$share/extension"

  # build.log stays quiet unless something is wrong with it
  if ! { make -C "$repository" -j"$(nproc)" PG_CONFIG="$PG_CONFIG" all &&
    make -C "$repository" PG_CONFIG="$PG_CONFIG" DESTDIR="$tree" install; } \
    >"$work/build.log" 2>&1; then
    tail -n 60 "$work/build.log" >&2
    echo 'the extension does not build' >&2
    return 1
  fi
}

# Starts a cluster in $work/data; server_settings are further lines for postgresql.conf.
server_settings=()
private_server_start() {
  as_server_user "$bindir/initdb" -D "$work/data" -U postgres -A trust -E UTF8 --no-locale \
    --no-sync >"$work/initdb.log"
  as_server_user mkdir -m 700 "$work/socket"
  {
    printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$work/socket'" \
      'fsync = off' 'shared_buffers = 256MB' 'max_wal_size = 4GB' 'timezone = UTC' \
      "log_line_prefix = '%m [%p] %q%a '"
    [ ${#server_settings[@]} -eq 0 ] || printf '%s\n' "${server_settings[@]}"
  } | as_server_user tee -a "$work/data/postgresql.conf" >/dev/null
  as_server_user "$bindir/pg_ctl" -D "$work/data" -l "$work/server.log" -w -s start ||
    { tail -n 30 "$work/server.log" >&2; return 1; }
  export PGHOST=$work/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}

# Of a server that scripts/server-from-source.sh has compiled: what its sanitizer says, one file for each process,
# and the assertions that have failed, from every log. They count where no test has noticed.
private_server_makes_reports() {
  [ -d "$work/reports" ]
}
private_server_reports() {
  local log
  while read -r log; do
    grep -h -A 2 '^TRAP: ' "$log" >"$work/reports/${log//\//_}" || true
  done < <(grep -rl --include='*.log' '^TRAP: ' "$work")
  rm -rf "$1"
  [ -z "$(ls "$work/reports")" ] || cp -R "$work/reports" "$1"
  find "$work/reports" -type f | wc -l
}

private_server_keep() {
  trap - EXIT INT TERM
  rm -f "$work/owner"
}

private_server_remove() {
  local status=$?
  trap - EXIT
  [ -z "$work" ] || private_server_clear "$work"
  return "$status"
}
