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
	in.use(t)
	t.Run("Update", func(t *testing.T) { in.on(t).update() })
	// The fleets are deleted first, because the controller has to remove the finalizers of their
	// Nodes.
	in.kubectl("delete", "namespace", in.Namespace, "--wait", "--timeout=3m")
	in.kubectl("delete", "-k", overlay, "--wait", "--timeout=3m", "--ignore-not-found")
	in.leftBehind(before, nil)
	in.forget()
}

// apply applies the overlay. It retries, because the CRDs of a first installation may not be served
// when their objects are applied.
func (in *install) apply() {
	in.Helper()
	in.eventually("the overlay to be applied", func() bool {
		return in.try("apply", "--server-side", "-k", overlay) == nil
	})
}

// use tests the functions of every installation, in the order in which people use them.
func (in *install) use(t *testing.T) {
	for _, step := range []struct {
		name string
		test func(*install)
	}{
		{"Rights", (*install).rights},
		{"Restricted", (*install).restricted},
		{"DaemonSet", (*install).daemonSet},
		{"Laptop", (*install).laptop},
		{"RollingRestart", (*install).rollingRestart},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.test(in.on(t)) }) {
			return
		}
	}
}

// leftBehind compares the objects that were added since before with the objects that the
// uninstallation is documented to keep.
func (in *install) leftBehind(before, kept []string) {
	in.Helper()
	left := func() []string {
		return slices.DeleteFunc(in.objects(), func(o string) bool { return slices.Contains(before, o) })
	}
	var now []string
	in.eventually("only the kept objects to be left", func() bool {
		now = left()
		return slices.Equal(now, kept)
	}, func() any { return now })
}
