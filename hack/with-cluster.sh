#!/usr/bin/env bash
# Runs a command beside one development cluster that the non-destructive tests share
# (MOORING_TEST_STATE is its state directory). The cluster ends with this script, even on kill -9:
# it watches the pipe on its standard input.
set -euo pipefail
state=$(mktemp -d)
exec {hold}> >(exec "$LOCALCLUSTER" up --state "$state" --until-stdin-closes --output json >"$state.ready" 2>"$state.log")
supervisor=$!
cleanup() {
  exec {hold}>&-
  wait "$supervisor" 2>/dev/null || true
  rm -rf "$state" "$state.ready" "$state.log"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
until [ -s "$state.ready" ]; do
  if ! kill -0 "$supervisor" 2>/dev/null; then
    cat "$state.log" >&2
    exit 1
  fi
  read -rt 0.2 <> <(:) || true
done
MOORING_TEST_STATE=$state "$@"
