#!/usr/bin/env bash
# Checks that every test that docs/threats.md names exists in its folder. A row has `TestName`
# followed by the folder.
set -euo pipefail
cd "$(dirname "$0")/.."
table=docs/threats.md
failed=0 count=0
while read -r name folder; do
  count=$((count + 1))
  if ! grep -rqE --include='*_test.go' "^func $name\(" "$folder"; then
    echo "$table names $name in $folder: there is no such test" >&2
    failed=1
  fi
done < <(grep -oE '`(Test|Fuzz)[A-Za-z0-9_]+` \([a-z][a-zA-Z0-9/]*\)' "$table" | tr -d '`()')
# A name without its folder would not be checked.
loose=$(grep -oE '`(Test|Fuzz)[A-Za-z0-9_]+`( \([a-z][a-zA-Z0-9/]*\))?' "$table" | grep -v '(' || true)
if [ -n "$loose" ]; then
  printf '%s names tests without their folder:\n%s\n' "$table" "$loose" >&2
  failed=1
fi
if [ "$count" -lt 50 ]; then
  echo "$table names only $count tests: the table is not read as it should be" >&2
  failed=1
fi
exit $failed
