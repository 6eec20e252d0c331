// Package e2e installs Mooring on a real kubelet with a real container runtime, as people do, and
// uses it. The tests are built with the tag e2e and run by hack/e2e.sh (make e2e). The script gives
// them their own namespaces for processes, mounts and network.
package e2e
