//go:build e2e

package e2e

import (
	"slices"
	"testing"
)

// The test covers the whole life of an installation with kustomize.
func TestKustomize(t *testing.T) {
	in := newInstall(t, "robots")
	before := in.objects()
	in.apply()
	in.kubectl("-n", "mooring-system", "rollout", "status", "deployment", "--timeout=3m")
	in.runSteps(t)
	t.Run("Update", func(t *testing.T) { in.inSubtest(t).update() })
	// The fleets are deleted first, because the controller has to remove the finalizers of their
	// Nodes.
	in.kubectl("delete", "namespace", in.Namespace, "--wait", "--timeout=3m")
	in.kubectl("delete", "-k", overlay, "--wait", "--timeout=3m", "--ignore-not-found")
	in.checkLeftBehind(before, nil)
	in.removeIdentities()
}

// apply applies the overlay. It retries, because the CRDs of a first installation may not be served
// when their objects are applied.
func (in *install) apply() {
	in.Helper()
	in.eventually("the overlay to be applied", func() bool {
		return in.tryKubectl("apply", "--server-side", "-k", overlay) == nil
	})
}

// runSteps tests the functions of every installation, in the order in which people use them.
func (in *install) runSteps(t *testing.T) {
	for _, step := range []struct {
		name string
		test func(*install)
	}{
		{"Rights", (*install).checkRights},
		{"Restricted", (*install).checkRestricted},
		{"DaemonSet", (*install).checkDaemonSet},
		{"Laptop", (*install).pairLaptop},
		{"RollingRestart", (*install).rollingRestart},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.test(in.inSubtest(t)) }) {
			return
		}
	}
}

// checkLeftBehind compares the objects that were added since before with the objects that the
// uninstallation is documented to keep.
func (in *install) checkLeftBehind(before, kept []string) {
	in.Helper()
	added := func() []string {
		return slices.DeleteFunc(in.objects(), func(o string) bool { return slices.Contains(before, o) })
	}
	var now []string
	in.eventually("only the kept objects to be left", func() bool {
		now = added()
		return slices.Equal(now, kept)
	}, func() any { return now })
}
