#!/usr/bin/env bash
# Installs the build tools of the race detector. It needs cgo: a C compiler and the C library's
# headers.
set -euo pipefail
if command -v gcc >/dev/null && echo 'int main(void){return 0;}' | gcc -x c -include stdlib.h -o /dev/null - 2>/dev/null; then
  exit 0
fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "the tests need gcc and the C library's headers (Debian: apt-get install gcc libc6-dev); install them and run again" >&2
  exit 1
fi
echo "installing gcc and libc6-dev for the race detector"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null
