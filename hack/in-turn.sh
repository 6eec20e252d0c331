#!/usr/bin/env bash
# Runs a command when no other command runs that this script started for the cluster of
# with-cluster.sh.
# With "go test -p 2 -exec hack/in-turn.sh", the next test is compiled and linked while one runs.
# The time of a package includes its wait for the package before it.
set -euo pipefail
exec flock --close "${MOORING_TEST_STATE:?set by hack/with-cluster.sh}/turn" "$@"
