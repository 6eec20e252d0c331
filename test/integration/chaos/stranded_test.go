package chaos_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/poll"
	"github.com/mooring-dev/mooring/test/chaos/check"
	"github.com/mooring-dev/mooring/test/chaos/witness"
)

// A fate is an event that affects the dispatch of one machine while the machine has no session.
type fate string

const (
	isCancelled fate = "cancelled without a session"
	isBacklog   fate = "claimed, then cancelled without a session"
	isRevoked   fate = "its Node revoked without a session"
	isDeleted   fate = "its Node deleted without a session"
	isSuspended fate = "its Node suspended without a session"
	isExpired   fate = "expired without a session"
	isRestored  fate = "its agent restored from an older copy"
	isLong      fate = "running while the leader changes"
)

var fates = []fate{isCancelled, isBacklog, isRevoked, isDeleted, isSuspended, isExpired, isRestored, isLong}

const (
	endlessRun = 3_600_000 // milliseconds of a run that ends only with a crash
	// offeredUnwritten counts runs that began while their status was still Queued.
	offeredUnwritten = "begun before its status was written, then without a session"
)

// stranding holds a fleet of one machine for each fate, with the events so far.
type stranding struct {
	*rig
	machine map[fate]string
	// copies is the directory of older copies of the agents' directories.
	copies string
}

// Runs begin, and the gateways and the machines are killed before a status reports it. Then an
// event ends the dispatch, and no process that saw the run is left. The dispatch must not be
// reported as NotStarted and must not run again.
func TestWorkOfMachinesWithoutASessionEndsTruthfully(t *testing.T) {
	for range ciSized(1, 3) {
		s := &stranding{rig: newRig(t, system.NodeEndpoint, 1, len(fates)), machine: map[fate]string{}, copies: t.TempDir()}
		for i, f := range fates {
			s.machine[f] = s.machines[i]
		}
		began := time.Now()
		s.awaitOnline()
		s.startRuns()
		s.strandMachines()
		s.allowRestart(s.groups[0])
		h, violations := s.awaitVerdict(check.Lost)
		s.reportResults(0, time.Since(began), h, violations)
		counts, _ := s.snapshot()
		for _, situation := range append([]fate{offeredUnwritten}, fates...) {
			if counts[string(situation)] == 0 {
				t.Errorf("no dispatch was %s: the test proves nothing", situation)
			}
		}
	}
}

// startRuns starts a run on every machine. The dispatch of the backlog is created while its machine is
// away.
func (s *stranding) startRuns() {
	s.stopMachines()
	dir := s.dir(s.machine[isRestored])
	if err := os.RemoveAll(dir + "/run"); err != nil { // the sockets of the killed process
		s.Fatal(err)
	}
	if err := os.CopyFS(s.copies, os.DirFS(dir)); err != nil {
		s.Fatal(err)
	}
	s.createDispatch(isBacklog, endlessRun, 3600)
	s.allowRestart(s.groups[0])
	s.awaitOnline()
	s.Helper()
	err := poll.UntilTrue(s.boundedContext(), func() bool { // the sessions must be older than the dispatches that follow
		return !slices.ContainsFunc(s.machines, func(name string) bool {
			started := s.getNode(name).Status.SessionStartedTime
			return started == nil || time.Since(started.Time) < 3*time.Second
		})
	})
	if err != nil {
		s.Fatal(err)
	}
	for _, f := range fates {
		if f != isBacklog && f != isExpired {
			s.createDispatch(f, endlessRun, 3600)
		}
	}
	s.awaitStarts(len(fates) - 1)
}

// strandMachines kills gateways and machines, and then applies the fate of each machine.
func (s *stranding) strandMachines() {
	for _, replica := range s.all[len(s.all)-gateways:] {
		s.kill(replica, killGateway)
	}
	s.stopMachines()
	for _, f := range fates {
		if f != isExpired && s.getDispatch(f).Status.Phase == v1alpha1.DispatchQueued {
			s.parts.logEvent(offeredUnwritten, "%s runs %s, which is Queued", s.machine[f], dispatchName(f))
		}
	}
	s.createDispatch(isExpired, 0, 1)
	s.kill(s.all[len(s.groups)], killController)
	for _, f := range fates {
		s.applyFate(f)
	}
	ends := []fate{isCancelled, isBacklog, isRevoked, isDeleted}
	if ciSized(0, 1) == 1 { // the leader waits for the result of a dispatch that may have begun
		ends = append(ends, isExpired)
	}
	for _, f := range ends {
		if err := poll.UntilTrue(s.boundedContext(), func() bool { return s.getDispatch(f).Status.Phase.Terminal() }); err != nil {
			s.Errorf("%s: %v", f, err)
		}
	}
	if !s.getDispatch(isExpired).CreationTimestamp.Add(time.Second).Before(time.Now()) {
		s.Error("the dispatch of one second has not expired")
	}
	s.patch(&v1alpha1.Node{}, s.machine[isSuspended], `{"spec":{"desiredState":"Active"}}`)
}

// applyFate applies a fate to the dispatch of its machine.
func (s *stranding) applyFate(f fate) {
	s.Helper()
	machine, now := s.machine[f], time.Now()
	switch f {
	case isCancelled, isBacklog:
		s.updateRequest(dispatchName(f), func(a *check.Request) { a.Cancel = now })
		s.patch(&v1alpha1.CapabilityDispatch{}, dispatchName(f), `{"spec":{"cancel":true}}`)
	case isRevoked:
		s.updateRequest(dispatchName(f), func(a *check.Request) { a.Revoked = now })
		s.patch(&v1alpha1.Node{}, machine, `{"spec":{"desiredState":"Revoked"}}`)
	case isDeleted:
		s.updateRequest(dispatchName(f), func(a *check.Request) { a.Deleted = now })
		if err := system.Client.Delete(s.Context(), s.getNode(machine)); err != nil {
			s.Fatal(err)
		}
	case isSuspended:
		s.patch(&v1alpha1.Node{}, machine, `{"spec":{"desiredState":"Suspended"}}`)
	case isRestored:
		s.updateRequest(dispatchName(f), func(a *check.Request) { a.Restored = now })
		dir := s.dir(machine)
		if err := os.RemoveAll(dir); err != nil {
			s.Fatal(err)
		}
		if err := os.CopyFS(dir, os.DirFS(s.copies)); err != nil {
			s.Fatal(err)
		}
		s.restorePermissions(dir)
	case isExpired, isLong: // they need no action
	}
	s.parts.logEvent(string(f), "%s of %s is %s", dispatchName(f), machine, f)
}

// stopMachines kills the machines and prevents their restart.
func (s *stranding) stopMachines() {
	s.Helper()
	group := s.groups[0]
	s.preventRestart(group)
	s.kill(group, killAgents)
	if err := poll.UntilTrue(s.boundedContext(), func() bool { return !group.process().Running() }); err != nil {
		s.Fatal(err)
	}
}

// dispatchName returns the name of the dispatch of a fate.
func dispatchName(f fate) string {
	return "d-" + strings.NewReplacer(" ", "-", ",", "").Replace(strings.ToLower(string(f)))
}

func (s *stranding) createDispatch(f fate, milliseconds int, expiry int32) {
	s.Helper()
	w := request{name: dispatchName(f), machine: s.machine[f], timeoutSeconds: 3600, expiry: expiry, input: witness.Input{SleepMilliseconds: milliseconds}}
	if f == isExpired {
		w.timeoutSeconds = 1
	}
	if err := s.createAll(s.Context(), []request{w}); err != nil {
		s.Fatal(err)
	}
}

func (s *stranding) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: s.requester.namespace, Name: name}
}

func (s *stranding) getDispatch(f fate) *v1alpha1.CapabilityDispatch {
	d := &v1alpha1.CapabilityDispatch{}
	if err := system.Client.Get(s.Context(), s.key(dispatchName(f)), d); err != nil {
		s.Fatal(err)
	}
	return d
}

func (s *stranding) getNode(name string) *v1alpha1.Node {
	node := &v1alpha1.Node{}
	if err := system.Client.Get(s.Context(), s.key(name), node); err != nil {
		s.Fatal(err)
	}
	return node
}

func (s *stranding) patch(object client.Object, name, body string) {
	s.Helper()
	object.SetNamespace(s.requester.namespace)
	object.SetName(name)
	if err := system.Client.Patch(s.Context(), object, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		s.Fatal(err)
	}
}

// dir returns the identity directory of a machine.
func (s *stranding) dir(machine string) string { return s.prefix + machine }

// restorePermissions sets the permissions of a copied directory that an agent requires.
func (s *stranding) restorePermissions(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range entries {
		mode := os.FileMode(0o600)
		if e.IsDir() {
			mode = 0o700
		}
		if err := os.Chmod(dir+"/"+e.Name(), mode); err != nil {
			s.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		s.Fatal(err)
	}
}

// The results of many runs arrive while no gateway can reach the API server, and then the gateways
// are killed. No machine may have deleted a result before it was stored.
func TestResultsOnTheirWayOutliveTheGateways(t *testing.T) {
	net := newNetwork(t)
	r := newRig(t, net.entry.Address(), 1, 4)
	r.awaitOnline()
	var all []request
	for i := range 20 {
		all = append(all, request{name: dispatchName(fate("result " + string(rune('a'+i)))), machine: r.machines[i%len(r.machines)], timeoutSeconds: 60, expiry: 3600,
			input: witness.Input{SleepMilliseconds: 1500}})
	}
	began := time.Now()
	if err := r.createAll(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	r.awaitStarts(4)
	for _, uplink := range net.uplinks {
		uplink.Hold()
	}
	ends := func() (count int) {
		marks, err := witness.ReadMarks(r.marks)
		if err != nil {
			return 0
		}
		for _, m := range marks {
			if m.Event == check.End {
				count++
			}
		}
		return count
	}
	if err := poll.UntilTrue(r.boundedContext(), func() bool { return ends() >= 4 }); err != nil {
		t.Fatal(err)
	}
	sleep(t.Context(), time.Second) // the results are on their way
	list := &v1alpha1.CapabilityDispatchList{}
	if err := system.Client.List(t.Context(), list, client.InNamespace(r.requester.namespace)); err != nil {
		t.Fatal(err)
	}
	underWay := ends()
	for _, d := range list.Items {
		if d.Status.Phase.Terminal() {
			underWay--
		}
	}
	for _, replica := range r.all[len(r.all)-gateways:] {
		r.kill(replica, killGateway)
	}
	for _, uplink := range net.uplinks {
		uplink.Heal()
	}
	h, violations := r.awaitVerdict(check.Lost, check.ResultLost)
	r.reportResults(0, time.Since(began), h, violations)
	if underWay == 0 {
		t.Error("no result was on its way when the gateways were killed: the test proves nothing")
	}
	for uid, states := range h.States {
		if last := states[len(states)-1]; last.Phase != string(v1alpha1.DispatchSucceeded) {
			t.Errorf("%s ended %s, %s %s", uid, last.Phase, last.Execution, last.Code)
		}
	}
}
