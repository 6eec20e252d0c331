#!/usr/bin/env bash
# Writes the bill of materials of each image, CycloneDX 1.6 in JSON, beside its archive:
# hack/sbom.sh TOOL DIR VERSION.
# It reads DIR/context/{manager,mooring-agent} and writes DIR/{manager,agent}.cdx.json. An image
# contains only one static binary, so the modules that Go recorded in the binary are complete. The
# script fails when the bill lacks a module or has an additional one, and when a second run gives
# another result.
set -euo pipefail
usage="usage: hack/sbom.sh TOOL DIR VERSION"
tool=${1:?$usage} dir=${2:?$usage} version=${3:?$usage}

# bill BINARY FILE writes a bill without serial number and time: both would differ each time.
bill() {
  "$tool" bin -json -std -noserial -notimestamp -output-version 1.6 -version "$version" -output "$2" "$1"
}

# modules_in BINARY lists "path version"; a replaced module appears as its replacement.
modules_in() {
  go version -m "$1" | awk -F'\t' '
    $2 == "dep" || $2 == "=>" { if ($2 == "=>") n--; line[++n] = $3 " " $4 }
    END { for (i = 1; i <= n; i++) print line[i] }' | sort
}

# components_of FILE lists the modules of a bill in the same form, without the standard library.
components_of() {
  awk -F'"' '
    /^  "components": \[/ { inside = 1 }
    /^  "dependencies": \[/ { inside = 0 }
    inside && $2 == "name" { name = $4 }
    inside && $2 == "version" && name != "std" { print name " " $4 }' "$1" | sort
}

for image in manager agent; do
  binary=$dir/context/$image
  [ "$image" = agent ] && binary=$dir/context/mooring-agent
  file=$dir/$image.cdx.json
  bill "$binary" "$file"
  bill "$binary" "$file.again"
  cmp "$file" "$file.again" || { echo "$file differs each time" >&2; exit 1; }
  rm "$file.again"
  count=$(modules_in "$binary" | wc -l)
  [ "$count" -gt 0 ] || { echo "$binary names no modules: was it built by go build?" >&2; exit 1; }
  if ! diff -u --label "modules of $binary" --label "$file" <(modules_in "$binary") <(components_of "$file") >&2; then
    echo "$file does not list what is in $binary" >&2
    exit 1
  fi
  grep -q '"name": "std"' "$file" || { echo "$file lacks the standard library" >&2; exit 1; }
  printf '%-28s %5d modules\n' "$file" "$count"
done
