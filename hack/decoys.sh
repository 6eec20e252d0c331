#!/usr/bin/env bash
# Runs a command on a machine that seems to have an agent installed and a cluster configured. In a
# mount namespace, unusable decoy files replace the files of a real installation. A unit test that
# reads the machine's own paths fails with them.
set -euo pipefail
decoy=$(mktemp -d)
places=(/etc/mooring-agent /var/lib/mooring-agent "$HOME/.kube" "$HOME/.config/mooring-agent" "$HOME/.local/state/mooring-agent")
if [ "$(id -u)" != 0 ] || ! unshare --mount true 2>/dev/null; then
  echo "hack/decoys.sh: this user cannot make a mount namespace; the tests run without decoys" >&2
  rmdir "$decoy"
  exec "$@"
fi
made=()
cleanup() {
  for place in "${made[@]}"; do rmdir "$place" 2>/dev/null || true; done
  rm -rf "$decoy"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
# A folder must exist to be mounted over; folders that are created here are removed afterwards.
for place in "${places[@]}"; do
  parent=$place missing=()
  while [ ! -d "$parent" ]; do missing=("$parent" "${missing[@]}"); parent=$(dirname "$parent"); done
  for folder in "${missing[@]}"; do mkdir "$folder"; made=("$folder" "${made[@]}"); done
done
for file in config.yaml config identity.pem trust.pem config.json journal.db pairing.json mediation.yaml; do
  echo "decoy: a test reads the machine's own files [" >"$decoy/$file"
done
unshare --mount --propagation private bash -c '
  decoy=$1; shift
  while [ "$1" != -- ]; do mount --bind "$decoy" "$1"; shift; done
  shift
  MOORING_TEST_DECOYS=1 exec "$@"' bash "$decoy" "${places[@]}" -- "$@"
