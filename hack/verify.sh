#!/usr/bin/env bash
# Regenerates, lints and tidies, and fails when this changes a file of the tree.
set -euo pipefail
cd "$(dirname "$0")/.."
snapshot() { git ls-files -z --cached --others --exclude-standard | sort -zu | xargs -0 sha256sum 2>/dev/null; }

before=$(mktemp) after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT
snapshot >"$before" || true
make --no-print-directory generate
for module in $MODULES; do
  (cd "$module" && go mod tidy -diff) || { echo "run: make tidy (module $module)" >&2; exit 1; }
done
snapshot >"$after" || true
if ! diff -u "$before" "$after"; then
  echo "generated code is out of date: run make generate and commit the result" >&2
  exit 1
fi
# The parts of the chart that are not copied are compared: they must give the objects of
# config/install.
(cd hack/tools/helm && go test .) || { echo "charts/mooring and config differ: change both" >&2; exit 1; }
make --no-print-directory lint
dead=$(go tool -modfile=hack/tools/go.mod deadcode -test -tags e2e,systemd ./...)
if [ -n "$dead" ]; then
  printf 'no program and no test calls these functions; remove them:\n%s\n' "$dead" >&2
  exit 1
fi
hack/threats.sh
# A group of tests that fails must not hide the results of the others.
hack/targets.sh
# Comments and pages stay readable: at most 3 vague words per 1,000.
go run ./hack/wording
# Links, diagrams, and the names of functions and folders in the pages agree with the tree.
go run ./hack/docs
# Every field that a policy guards must have a row with the proof that covers it.
go test ./internal/policy -run TestEveryGuardedFieldHasItsRow
# Every mutant must still apply, so that moved code keeps its mutant.
go run ./test/mutants --check
# The agent must build for systems on which no test runs: one architecture of each.
make --no-print-directory cross PLATFORMS="windows/amd64 darwin/arm64" CROSS=./cmd/mooring-agent
echo "verify: generated code, modules and imports agree with the tree"
