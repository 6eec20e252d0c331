#!/usr/bin/env bash
# Packs the binaries in DIR/context into DIR/manager.tar and DIR/agent.tar (oci-archives):
# hack/images.sh DIR VERSION.
# Needs buildah, or docker with buildx, and fails without both. It also fails when a file is larger
# than its limit. The size of an image is that of its archive, as it is stored and pulled (unpacked
# it is the binary). The images have the time of the commit, so that the same sources have the same
# digests.
set -euo pipefail
dir=${1:?usage: hack/images.sh DIR VERSION} version=${2:?usage: hack/images.sh DIR VERSION}
MIB=$((1024 * 1024))
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
platform=linux/$(go env GOARCH)

# below FILE MIB fails when the file is not smaller than the limit.
below() {
  local size
  size=$(stat -c %s "$1")
  printf '%-28s %5d KiB\n' "$1" $((size / 1024))
  [ "$size" -lt $(($2 * MIB)) ] || { echo "$1 is not smaller than $2 MiB" >&2; exit 1; }
}

# A separate store: the images of this machine are neither used nor changed. vfs needs no mounts.
store() { buildah --root "$PWD/$dir/store" --runroot "$PWD/$dir/run" --storage-driver vfs "$@"; }

with_buildah() {
  store bud --quiet --isolation chroot --timestamp "$epoch" --platform "$platform" --format oci --layers=false --identity-label=false \
    --build-arg "VERSION=$version" --target "$1" --tag "mooring-$1:$version" -f Dockerfile "$dir/context" >/dev/null
  store push --quiet "mooring-$1:$version" "oci-archive:$dir/$1.tar:mooring-$1:$version"
}

with_docker() {
  SOURCE_DATE_EPOCH=$epoch docker buildx build --quiet --provenance=false --platform "$platform" \
    --build-arg "VERSION=$version" --target "$1" --tag "mooring-$1:$version" -f Dockerfile \
    --output "type=oci,dest=$dir/$1.tar,rewrite-timestamp=true" "$dir/context" >/dev/null
}

if command -v buildah >/dev/null; then
  build=with_buildah
elif docker buildx version >/dev/null 2>&1; then
  build=with_docker
else
  echo "images: neither buildah nor docker with buildx is there; install one (Debian: apt-get install buildah)" >&2
  exit 1
fi
trap 'rm -rf "$dir/store" "$dir/run"' EXIT
chmod 0755 "$dir/context"/*
below "$dir/context/mooring-agent" 25
for image in manager agent; do
  rm -f "$dir/$image.tar"
  $build "$image"
  below "$dir/$image.tar" 30
  printf '  manifest %s\n' "$(tar -xOf "$dir/$image.tar" index.json | grep -o 'sha256:[0-9a-f]*' | head -1)"
done
