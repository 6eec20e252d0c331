#!/usr/bin/env bash
# Tests the agent's service under a systemd that boots in a container: hack/test-systemd.sh AGENT.
# Needs root, debootstrap and systemd-container (Debian packages). Without them it fails with a
# message.
set -euo pipefail
agent=${1:?usage: hack/test-systemd.sh AGENT}
cannot() {
  printf '\n*** test-systemd CANNOT RUN: %s ***\n' "$1" >&2
  exit 1
}
[ "$(id -u)" = 0 ] || cannot "it needs root"
for program in debootstrap systemd-nspawn nsenter; do
  command -v $program >/dev/null || cannot "$program is missing (apt-get install debootstrap systemd-container)"
done
root=$PWD/.local/systemd/root
if [ ! -e "$root.done" ]; then
  echo "making a Debian in $root (once, about a minute)"
  rm -rf "$root"
  mkdir -p "$(dirname "$root")"
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,libpam-systemd bookworm "$root" >"$root.log" 2>&1 ||
    cannot "debootstrap failed, see $root.log"
  touch "$root.done"
fi
MOORING_SYSTEMD_ROOT=$root MOORING_SYSTEMD_AGENT=$agent go test -count=1 -tags systemd -timeout 20m -v ./test/systemd/
