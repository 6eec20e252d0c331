#!/usr/bin/env bash
# Runs a command on a machine that seems to have an agent installed, as a service of the machine and
# of users, and a cluster configured. In a mount namespace, unusable decoy files replace the files of
# a real installation, of this user and of others. A unit test that reads the machine's own paths
# fails with them. MOORING_TEST_DECOYS and MOORING_TEST_DECOY_HOMES list the covered places.
set -euo pipefail
# Folders below a home, and all folders that get decoys.
inHome=(.kube .config/mooring-agent .config/systemd/user .local/state/mooring-agent)
places=(/etc/mooring-agent /var/lib/mooring-agent /etc/systemd/system "${inHome[@]/#/$HOME/}")
decoy=$(mktemp -d) decoyHome=$(mktemp -d)
made=() homes=()
cleanup() {
  for place in "${made[@]}"; do rmdir "$place" 2>/dev/null || true; done
  rm -rf "$decoy" "$decoyHome"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
runWithout() {
  echo "hack/decoys.sh: $1; the tests run without decoys" >&2
  cleanup
  exec "${@:2}"
}
# A folder must exist to be mounted over. Folders that are created here are removed afterwards.
createFolder() {
  local parent=$1 missing=() folder
  while [ ! -d "$parent" ]; do missing=("$parent" "${missing[@]}"); parent=$(dirname "$parent"); done
  for folder in "${missing[@]}"; do
    mkdir "$folder" 2>/dev/null || return 1
    made=("$folder" "${made[@]}")
  done
}
# The homes of other users are replaced as a whole, unless the command needs one of them.
findHomes() {
  local used home
  used=":$PWD:$HOME:${TMPDIR:-}:$PATH:$(go env GOROOT GOPATH GOMODCACHE GOCACHE 2>/dev/null | tr '\n' ':'):"
  for home in /home/*; do
    [ -d "$home" ] || continue
    case "$used" in
    *":$home/"* | *":$home:"*) [ "$home" = "$HOME" ] || echo "hack/decoys.sh: no decoys in $home: the command uses it" >&2 ;;
    *) homes+=("$home") ;;
    esac
  done
  [ "${#homes[@]}" != 0 ] || homes=(/home/decoy)
}

[ "$(id -u)" = 0 ] || runWithout "this user is not root and cannot make a mount namespace" "$@"
unshare --mount true 2>/dev/null || runWithout "this machine does not allow a mount namespace" "$@"
findHomes
for place in "${places[@]}" "${homes[@]}"; do
  createFolder "$place" || runWithout "cannot create $place" "$@"
done
for file in config.yaml config identity.pem trust.pem config.json journal.db pairing.json mediation.yaml mooring-agent.service; do
  echo "decoy: a test reads the machine's own files [" >"$decoy/$file"
done
for place in "${inHome[@]}"; do
  mkdir -p "$decoyHome/$place"
  cp "$decoy"/* "$decoyHome/$place/"
done
MOORING_TEST_DECOYS=$(IFS=: && echo "${places[*]}") MOORING_TEST_DECOY_HOMES=$(IFS=: && echo "${homes[*]}") \
  unshare --mount --propagation private bash -euc '
  cover() {
    local folder
    IFS=: read -ra folders <<<"$2"
    for folder in "${folders[@]}"; do mount --bind "$1" "$folder"; done
  }
  cover "$1" "$MOORING_TEST_DECOYS"
  cover "$2" "$MOORING_TEST_DECOY_HOMES"
  shift 2
  exec "$@"' bash "$decoy" "$decoyHome" "$@"
