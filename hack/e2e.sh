#!/usr/bin/env bash
# Runs the tests of test/e2e on a real kubelet: hack/e2e.sh [FLAGS OF THE TEST BINARY].
# Everything runs in new namespaces (processes, mounts, network), which the kernel removes in every
# case. A directory and cgroups are outside of namespaces; this script removes them.
# Exit codes: 0 passed; 1 failed, or something was left behind; 77 skipped because this machine
# cannot run the tests (with E2E_SKIP=0 a skip is 0).
set -euo pipefail
cd "$(dirname "$0")/.."
skip() {
  printf '\n************************************************************\n*** e2e SKIPPED, NOTHING WAS TESTED: %s\n************************************************************\n' "$1" >&2
  exit "${E2E_SKIP:-77}"
}
[ "$(uname -s)" = Linux ] || skip "it needs Linux"
[ "$(id -u)" = 0 ] || skip "it needs root: containers, mounts and networks are made"

programs=(containerd runc ctr buildah iptables conntrack ip setpriv unshare)
missing() {
  for program in "${programs[@]}"; do command -v "$program" >/dev/null || { echo "$program"; return; }; done
  [ -x /usr/lib/cni/ptp ] || echo /usr/lib/cni/ptp
}
packages=(containerd runc containernetworking-plugins buildah iptables conntrack iproute2 util-linux)
if [ -n "$(missing)" ] && command -v apt-get >/dev/null; then
  echo "installing ${packages[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >/dev/null ||
    skip "apt-get could not install ${packages[*]}"
fi
[ -z "$(missing)" ] || skip "$(missing) is missing: install ${packages[*]}"
unshare --mount --net --pid --fork true || skip "this machine lets nobody make namespaces"

name=mooring-e2e-$$
export E2E_DIR=/tmp/$name E2E_CGROUP=/$name E2E_ADDRESS=10.250.0.1
mkdir -m 700 "$E2E_DIR"

# The state of the machine outside the namespaces, compared before and after.
outside() {
  ip -o link show | cut -d: -f2
  ip netns list
  iptables-save | grep -v '^#' | sed 's/\[[0-9:]*\]//'
  sysctl -n vm.overcommit_memory kernel.panic kernel.panic_on_oops net.ipv4.ip_forward
  grep -o "[^ ]*$name[^ ]*" /proc/mounts || true
  find /sys/fs/cgroup -maxdepth 3 -type d -name "$name" 2>/dev/null
  if [ -s "$E2E_DIR/pidns" ]; then find /proc -maxdepth 3 -path '*/ns/pid' -lname "$(cat "$E2E_DIR/pidns")" 2>/dev/null; fi
  pgrep -f "$E2E_DIR/" || true
}
# remove_cgroups NAME retries, because a killed process leaves its cgroup a moment later.
remove_cgroups() {
  for _ in $(seq 50); do
    find /sys/fs/cgroup -depth -type d -path "*/$1*" -exec rmdir {} + 2>/dev/null || true
    [ -n "$(find /sys/fs/cgroup -maxdepth 3 -type d -name "$1" 2>/dev/null)" ] || return 0
    read -rt 0.2 <> <(:) || true
  done
}
# A run that was killed could not remove its directory and cgroups; its processes are gone.
for dead in /tmp/mooring-e2e-*; do
  [ -d "$dead" ] && [ ! -d "/proc/${dead##*-}" ] || continue
  remove_cgroups "${dead##*/}"
  rm -rf --one-file-system "$dead"
done
before=$(outside)
inside=
finish() {
  code=$?
  trap - EXIT INT TERM
  if [ -n "$inside" ]; then
    kill -KILL "$inside" 2>/dev/null || true
    wait "$inside" 2>/dev/null || true
  fi
  remove_cgroups "$name"
  for _ in $(seq 25); do # the namespace disappears with its last process
    after=$(outside)
    [ "$before" != "$after" ] || break
    read -rt 0.2 <> <(:) || true
  done
  if [ "$before" != "$after" ]; then
    echo "e2e left something behind (< before, > after):" >&2
    diff <(echo "$before") <(echo "$after") >&2 || true
    code=1
  fi
  if [ "$code" != 0 ] && [ -d "$E2E_DIR/logs" ]; then
    rm -rf .local/e2e-logs && mkdir -p .local && cp -r "$E2E_DIR/logs" .local/e2e-logs
    echo "logs are kept in .local/e2e-logs" >&2
  fi
  rm -rf --one-file-system "$E2E_DIR"
  [ ! -e "$E2E_DIR" ] || { echo "e2e left $E2E_DIR behind" >&2; code=1; }
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

make --no-print-directory build cluster-binaries worker-binaries
make --no-print-directory images VERSION=e2e
hack/e2e-images.sh "$E2E_DIR/images"
cp .local/images/manager.tar .local/images/agent.tar "$E2E_DIR/images"
go test -c -tags e2e -o "$E2E_DIR/e2e.test" ./test/e2e
setpriv --pdeathsig KILL unshare --mount --net --pid --ipc --uts --fork --kill-child=KILL --mount-proc hack/e2e-inside.sh "$@" &
inside=$!
code=0
wait "$inside" || code=$?
inside=
[ "$code" = 0 ] || exit 1
