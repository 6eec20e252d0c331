#!/usr/bin/env bash
# The first process of the namespaces that hack/e2e.sh creates: a separate machine with one node
# network. The test binary then starts containerd and a kubelet on it.
set -euo pipefail
readlink /proc/self/ns/pid >"$E2E_DIR/pidns"
mount --make-rshared / # a separate peer group: volumes reach containers, and no mount reaches the outside
for dir in /run /var/lib /var/log; do
  mount -t tmpfs tmpfs $dir
done

# The kubelet requires these settings. They belong to the whole machine, so it sees files instead.
mkdir /run/sysctl
show() {
  echo "$2" >"/run/sysctl/$1"
  mount --bind "/run/sysctl/$1" "/proc/sys/${1//.//}"
}
show vm.overcommit_memory 1
show vm.panic_on_oom 0
show kernel.panic 10
show kernel.panic_on_oops 1
show kernel.keys.root_maxkeys 1000000
show kernel.keys.root_maxbytes 25000000

ip link set lo up
ip link add node0 type bridge
ip address add "$E2E_ADDRESS/24" dev node0
ip link set node0 up
ip route add default dev node0 # addresses of Services must be routable before they are translated
echo 1 >/proc/sys/net/ipv4/ip_forward

for controller in /sys/fs/cgroup/*/; do
  [ ! -e "$controller/cgroup.procs" ] || mkdir -p "$controller$E2E_CGROUP"
done
export TMPDIR=$E2E_DIR
cd test/e2e
"$E2E_DIR/e2e.test" -test.v -test.timeout 40m "$@"
