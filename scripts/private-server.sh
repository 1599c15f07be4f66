# shellcheck shell=bash
# A private PostgreSQL: a relocated copy of the installed server, our extension in it, and one
# throw-away cluster. Sourced by demo.sh and test.sh; nothing is written outside its directory.
#
#   . scripts/private-server.sh
#   private_server_create       work directory, server tree, extension installed into it
#   private_server_start        initdb and start; sets PGHOST, PGPORT, PGUSER, PGDATABASE
#   as_server_user CMD ...      runs a command as the user the server runs as
#   private_server_remove       stop and delete (installed as the trap on EXIT, INT and TERM)
#
# PostgreSQL looks for its share and lib directories relative to its own binary, so a tree with the
# same relative layout, real binaries and symbolic links for the rest is a complete server.
#
# Sets: work (the directory), tree (the root of the server tree), bindir (of the programs in it).

# From the environment: PG_CONFIG, or PG as the major version of Debian's packages.
if [ -z "${PG_CONFIG:-}" ]; then
  PG_CONFIG=/usr/lib/postgresql/${PG:-15}/bin/pg_config
  [ -x "$PG_CONFIG" ] || PG_CONFIG=pg_config
fi
export PG_CONFIG

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
umask 022
# UTF-8 and English messages, whatever the caller's locale is.
export LC_ALL=C.UTF-8
work=''
# The server refuses to run as root.
server_user=''
[ "$(id -u)" -ne 0 ] || server_user=postgres

# In a directory that user can enter: the checkout may be out of its reach.
as_server_user() (
  cd "${work:-/}" || exit
  export HOME=${work:-/}
  if [ -n "$server_user" ]; then
    exec runuser -u "$server_user" -- "$@"
  else
    exec "$@"
  fi
)

# A directory that the server's user can reach, with a path short enough for a socket (107 bytes).
private_server_directory() {
  local base
  for base in "${TMPDIR:-/tmp}" /tmp; do
    if [ ${#base} -le 60 ] && as_server_user test -w "$base" -a -x "$base" 2>/dev/null; then
      work=$(mktemp -d "$base/cowrie_migrate.XXXXXX")
      [ -z "$server_user" ] || chown "$server_user" "$work"
      return
    fi
  done
  echo 'no directory for temporary files that the server user can write to' >&2
  return 1
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
  # what the caller's environment says about other servers
  unset PGSERVICE PGSSLMODE PGOPTIONS PGHOSTADDR PGTZ PGCLIENTENCODING
}

private_server_remove() {
  local status=$?
  trap - EXIT
  [ -n "$work" ] || return "$status"
  if [ -f "$work/data/postmaster.pid" ]; then
    as_server_user "$bindir/pg_ctl" -D "$work/data" -m immediate -s stop || true
  fi
  rm -rf "$work"
  return "$status"
}
