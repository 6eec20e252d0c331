#!/usr/bin/env bash
# Builds the images that the end-to-end tests import, without a registry: hack/e2e-images.sh DIR.
set -euo pipefail
out=${1:?usage: hack/e2e-images.sh DIR}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
builder=(buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs)
# image NAME DIR builds an image that contains only DIR, as an archive.
image() {
  printf 'FROM scratch\nCOPY . /\nUSER 65532:65532\nENTRYPOINT ["/%s"]\n' "$1" >"$work/Containerfile"
  "${builder[@]}" bud -q --isolation chroot --tag "localhost/$1:e2e" --file "$work/Containerfile" "$2" >/dev/null
  "${builder[@]}" push -q "localhost/$1:e2e" "oci-archive:$out/$1.tar:localhost/$1:e2e"
}
mkdir "$work/pause"
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$work/pause/pause" ./test/e2e/pause
image pause "$work/pause"
