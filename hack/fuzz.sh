#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other: hack/fuzz.sh 30s
set -euo pipefail
time=${1:?usage: hack/fuzz.sh DURATION}
grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' . | sort | while read -r file; do
  for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$file"); do
    echo "fuzzing $target in $(dirname "$file") for $time"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$(dirname "$file")"
  done
done
