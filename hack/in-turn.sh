#!/usr/bin/env bash
# Runs a test program of ./test/... for "go test -exec" when one of two turns is free. Two packages
# run at a time, because they wait more than they compute, and a third one is compiled meanwhile.
# The time of a package includes its wait for a turn.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
turns=${MOORING_TEST_STATE:?set by hack/with-cluster.sh}/turn
exec 7>"$turns.queue" 8>"$turns.first" 9>"$turns.second"
flock 7 # first come, first served
case ${PWD#"$root/test/"} in
# They measure, or need the processors for hundreds of machines.
bench | integration/chaos | integration/replicas | integration/threats)
  flock 8
  flock 9
  ;;
# They share the cluster of with-cluster.sh, and one of them changes a CRD in it.
integration/api | integration/gateway | integration/plugin | integration/session)
  flock 8
  ;;
*)
  until flock --nonblock 9 || flock --nonblock 8; do sleep 0.2; done
  ;;
esac
exec 7>&-
# Processes that outlive the test program must not keep its turn.
"$@" 8>&- 9>&-
