//go:build e2e

package e2e

import (
	"slices"
	"testing"
)

// The whole life of an install that was made with kustomize.
func TestKustomize(t *testing.T) {
	in := newInstall(t, "robots")
	before := in.objects()
	in.apply()
	in.kubectl("-n", "mooring-system", "rollout", "status", "deployment", "--timeout=3m")
	in.use(t)
	t.Run("Update", func(t *testing.T) { in.on(t).update() })
	// Fleets first: the controller has to take leave of their Nodes.
	in.kubectl("delete", "namespace", in.Namespace, "--wait", "--timeout=3m")
	in.kubectl("delete", "-k", overlay, "--wait", "--timeout=3m", "--ignore-not-found")
	in.leftBehind(before, nil)
	in.forget()
}

// apply applies the overlay; the CRDs of the first time may not be served yet when their objects come.
func (in *install) apply() {
	in.Helper()
	in.eventually("the overlay to be applied", func() bool {
		return in.try("apply", "--server-side", "-k", overlay) == nil
	})
}

// use is what every install must be able to do, in the order in which people do it.
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

// leftBehind compares what there is with what was there before, and the difference with what
// uninstalling says it keeps.
func (in *install) leftBehind(before, kept []string) {
	in.Helper()
	left := func() []string {
		return slices.DeleteFunc(in.objects(), func(o string) bool { return slices.Contains(before, o) })
	}
	var now []string
	in.eventually("nothing but what is kept to be left", func() bool {
		now = left()
		return slices.Equal(now, kept)
	}, func() any { return now })
}
