# shellcheck shell=bash
# Minimal Debian systems in directories. Sourced by matrix.sh and deb.sh; as root, on Debian.
#
#   make_root SUITE DIRECTORY          once; one that was not completed is begun again. Of experimental, which
#                                      is no whole release, PostgreSQL comes, the rest from sid
#   in_root DIRECTORY COMMAND...       runs a command there; what it changes stays
#   in_fresh_root DIRECTORY COMMAND... the same; what it changes is gone afterwards
#
# DEBIAN_MIRROR is where debootstrap gets the packages; its own default otherwise.

if [ "$(id -u)" -ne 0 ]; then
  echo 'debootstrap and chroot need root' >&2
  exit 2
fi
command -v debootstrap >/dev/null ||
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y debootstrap >/dev/null

make_root() {
  local suite=$1 root=$2 base=$1
  [ ! -f "$root.complete" ] || return 0
  [ "$suite" != experimental ] || base=sid
  rm -rf "$root"
  mkdir -p "$(dirname "$root")"
  # shellcheck disable=SC2086 # no mirror: debootstrap's own
  debootstrap --variant=minbase "$base" "$root" ${DEBIAN_MIRROR:-} >"$root.log" 2>&1 ||
    { tail -n 20 "$root.log" >&2; return 1; }
  if [ "$suite" = experimental ]; then
    sed 's/ sid / experimental /' "$root/etc/apt/sources.list" >"$root/etc/apt/sources.list.d/experimental.list"
    printf '%s\n' 'Package: src:postgresql-19 src:postgresql-common' 'Pin: release a=experimental' \
      'Pin-Priority: 990' >"$root/etc/apt/preferences.d/postgresql"
  fi
  touch "$root.complete"
}

# In a mount and process namespace that goes with the command: nothing is left mounted or running,
# whatever happens.
enter_root() { # enter_root DIRECTORY KEEP COMMAND...
  # shellcheck disable=SC2016 # expanded inside
  unshare --mount --pid --fork --kill-child -- bash -c '
    set -e
    root=$1 keep=$2
    shift 2
    mount --make-rprivate /
    if [ "$keep" = no ]; then
      # changes go to memory, before the same directory is mounted over itself
      mount -t tmpfs tmpfs /mnt
      mkdir /mnt/changes /mnt/work
      mount -t overlay -o "lowerdir=$root,upperdir=/mnt/changes,workdir=/mnt/work" overlay "$root"
    fi
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$root/run"
    exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
  ' bash "$@"
}
in_root() {
  local root=$1
  shift
  enter_root "$root" yes "$@"
}
in_fresh_root() {
  local root=$1
  shift
  enter_root "$root" no "$@"
}
