#!/usr/bin/env bash
# Runs the unit tests and the linters of the packages that differ from a branch, also for changes
# that are not committed. Tests that need a cluster or other processes are compiled and named.
# usage: check.sh [BRANCH]   (default: main)
set -euo pipefail
cd "$(dirname "$0")/.."
base=$(git merge-base "${1:-main}" HEAD)
mapfile -t files < <({ git diff --name-only "$base"; git ls-files --others --exclude-standard; } | sort -u)

unit=() compiled=() tagged=() docs= status=0
declare -A seen=()
for file in "${files[@]}"; do
  case $file in *.md | *.go) docs=yes ;; esac
  dir=$(dirname "$file")
  # Test data and embedded files belong to the next package above them.
  while [ "$dir" != . ] && ! compgen -G "$dir/*.go" >/dev/null; do dir=$(dirname "$dir"); done
  if [ "$dir" = . ] || [ -n "${seen[$dir]:-}" ]; then continue; fi
  seen[$dir]=yes
  for module in ${MODULES:?set by the Makefile}; do
    case $dir/ in
    "$module"/*)
      echo "not checked: $dir is in the module $module"
      continue 2
      ;;
    esac
  done
  case $dir in
  test/e2e | test/systemd) tagged+=("./$dir") ;;
  test/bench | test/cluster | test/integration/* | test/mutants) compiled+=("./$dir") ;;
  *) unit+=("./$dir") ;;
  esac
done

check() { "$@" || status=1; }
if [ ${#unit[@]} -gt 0 ]; then check go test "${unit[@]}"; fi
if [ ${#tagged[@]} -gt 0 ]; then check go vet -tags e2e,systemd "${tagged[@]}"; fi
if [ ${#unit[@]} -gt 0 ] || [ ${#compiled[@]} -gt 0 ]; then
  check go tool -modfile=hack/tools/go.mod golangci-lint run "${unit[@]}" "${compiled[@]}"
fi
if [ -n "$docs" ]; then
  check go run ./hack/docs
  check go run ./hack/wording
fi
for package in "${compiled[@]}" "${tagged[@]}"; do echo "compiled, not run: $package (test/README.md)"; done
exit $status
