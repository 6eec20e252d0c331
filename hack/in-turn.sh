#!/usr/bin/env bash
# Runs a command when no other one runs that this script started for the cluster of with-cluster.sh.
# With "go test -p 2 -exec hack/in-turn.sh", the next test is compiled and linked while one runs; the
# time of a package includes its wait for the one before.
set -euo pipefail
exec flock --close "${MOORING_TEST_STATE:?set by hack/with-cluster.sh}/turn" "$@"
