#!/usr/bin/env bash
# Checks that a failing group of tests keeps no other group of `make test` and `make test-unit`
# from running, and that make then fails. Stand-ins replace the compiler, the cluster and gotestsum.
set -euo pipefail
cd "$(dirname "$0")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
for program in go gcc; do printf '#!/bin/sh\n' >"$work/bin/$program"; done
cat >"$work/localcluster" <<'END'
#!/bin/sh
[ "$1" != up ] || { echo ready; cat >/dev/null; }
END
# gotestsum records the last package pattern of each call, below its folder, and fails for $FAILING.
cat >"$work/gotestsum" <<'END'
#!/bin/bash
group=${PWD#"$ROOT"}:${*: -1}
echo "$group" >>"$CALLS"
[ "$group" != "$FAILING" ]
END
chmod +x "$work"/bin/* "$work/localcluster" "$work/gotestsum"

# run calls a target with the stand-ins while the group $2 fails, and writes the groups that ran.
run() {
  : >"$work/calls"
  PATH="$work/bin:$PATH" ROOT=$PWD CALLS=$work/calls FAILING=$2 make --no-print-directory "$1" \
    BIN="$work" LOCALCLUSTER="$work/localcluster" GOTESTSUM="$work/gotestsum" >"$work/log" 2>&1
}
check() {
  local target=$1 failing result
  shift
  run "$target" none || { cat "$work/log" >&2; echo "make $target fails although no group of tests does" >&2; exit 1; }
  for failing in "$@"; do
    result=0
    run "$target" "$failing" || result=$?
    if [ "$result" = 0 ]; then
      echo "make $target succeeds although $failing fails" >&2
      exit 1
    fi
    if ! diff <(printf '%s\n' "$@" | sort) <(sort "$work/calls") >&2; then
      echo "make $target: the groups marked < do not run, or those marked > should not, when $failing fails" >&2
      exit 1
    fi
  done
}
unit=(":./hack/wording/..." "/hack/tools/helm:./..." "/test/health:./...")
check test-unit "${unit[@]}"
check test "${unit[@]}" "/hack/localcluster:./cmd/localcluster" ":./test/..."
