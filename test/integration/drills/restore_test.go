package drills_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/simfleet"
)

// etcd is the etcd of the cluster, accessed with its files and its client certificate.
type etcd struct {
	*fleet
	client, peer string
}

func (f *fleet) openEtcd() etcd {
	f.Helper()
	var config struct {
		Ports struct{ EtcdClient, EtcdPeer int }
	}
	text, err := os.ReadFile(filepath.Join(system.Cluster.State(), "cluster.json"))
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err != nil || config.Ports.EtcdClient == 0 {
		f.Fatalf("find etcd: %v", err)
	}
	return etcd{f, fmt.Sprintf("https://127.0.0.1:%d", config.Ports.EtcdClient), fmt.Sprintf("https://127.0.0.1:%d", config.Ports.EtcdPeer)}
}

// run runs one of etcd's own tools, like docs/how-to/restore-etcd.md.
func (s etcd) run(argv ...string) {
	s.Helper()
	if out, err := system.Run(s.BoundedContext(), "", argv...); err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
}

func (s etcd) save(file string) {
	s.Helper()
	pki := filepath.Join(system.Cluster.State(), "pki")
	s.run("etcdctl", "--endpoints", s.client, "--cacert", filepath.Join(pki, "etcd-ca.crt"),
		"--cert", filepath.Join(pki, "apiserver-etcd-client.crt"), "--key", filepath.Join(pki, "apiserver-etcd-client.key"),
		"snapshot", "save", file)
}

// restore follows the procedure. It stops every process that reads the store, restores the store with
// revisions that no process has seen, and starts every process again.
func (s etcd) restore(file string, beforeGateways func()) {
	s.Helper()
	ctx := s.BoundedContext()
	system.Gateways[0].Stop()
	system.Controller.Stop()
	components := []string{controlplane.CertManager, controlplane.ControllerManager, controlplane.APIServer, controlplane.Etcd}
	for _, component := range components {
		if err := system.Cluster.StopComponent(ctx, component); err != nil {
			s.Fatal(err)
		}
	}
	data := filepath.Join(system.Cluster.State(), "etcd")
	if err := os.Rename(data, data+".before"); err != nil {
		s.Fatal(err)
	}
	s.run("etcdutl", "snapshot", "restore", file, "--data-dir", data, "--name", "local",
		"--initial-cluster", "local="+s.peer, "--initial-advertise-peer-urls", s.peer,
		"--bump-revision", "1000000000", "--mark-compacted")
	for i := len(components) - 1; i >= 0; i-- {
		if err := system.Cluster.StartComponent(ctx, components[i]); err != nil {
			s.Fatal(err)
		}
	}
	if err := system.Cluster.WaitReady(ctx); err != nil {
		s.Fatal(err)
	}
	if err := errors.Join(system.StartController(), system.Controller.WaitReady(ctx)); err != nil {
		s.Fatal(err)
	}
	beforeGateways()
	if err := errors.Join(system.StartGateway(0), system.Gateways[0].WaitReady(ctx)); err != nil {
		s.Fatal(err)
	}
}

// TestAStoreRestoredFromABackupRunsNothingTwice restores the store to a time before dispatches ran and
// machines were revoked. The journals of the machines have these runs, so nothing may run twice.
// The restore loses revocations, as the procedure warns. The revocation that is repeated in time
// leaves no gap; the revocation that is forgotten leaves one.
func TestAStoreRestoredFromABackupRunsNothingTwice(t *testing.T) {
	front := newWire(t, system.NodeEndpoint)
	const machines = 4
	f := newFleet(t, front.Address(), machines+2)
	f.AwaitAllOnline()
	stolen, forgotten := f.Sim.Agents()[machines], f.Sim.Agents()[machines+1]

	front.Drop() // the dispatches below wait
	f.Eventually("the machines to be away", func() bool { return f.Sim.Online() == 0 })
	var asked []*v1alpha1.CapabilityDispatch
	for n := range simfleet.CISized(20, 100) {
		asked = append(asked, f.createDispatch(f.Sim.Agents()[n%machines].Name))
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	f.openEtcd().save(backup)
	front.Heal()
	for _, d := range asked {
		if end := f.AwaitEnded(d).Status; end.Phase != v1alpha1.DispatchSucceeded {
			t.Fatalf("before the restore %s ended %+v", d.Name, end)
		}
	}
	f.AwaitAllOnline()
	for _, a := range []*sim.Agent{stolen, forgotten} {
		f.SetDesiredState(a.Name, v1alpha1.NodeRevoked)
		f.Eventually(a.Name+" to be cut", func() bool { return !a.Online() })
	}
	sessions := stolen.Sessions()

	f.openEtcd().restore(backup, func() {
		for _, a := range []*sim.Agent{stolen, forgotten} {
			if f.GetNode(a.Name).Spec.DesiredState == v1alpha1.NodeRevoked {
				t.Error("the backup contains the revocation already, so the test proves nothing")
			}
		}
		f.SetDesiredState(stolen.Name, v1alpha1.NodeRevoked)
	})
	tally := map[string]int{}
	for _, d := range asked {
		end := f.AwaitEnded(d).Status
		tally[fmt.Sprintf("%s/%s", end.Phase, end.Execution)]++
		if n := f.runCount(d); n != 1 {
			t.Errorf("%s ran %d times and is %s, %s", d.Name, n, end.Phase, end.Execution)
		}
		if end.Execution == v1alpha1.ExecutionNotStarted {
			t.Errorf("%s ran, but its status is NotStarted: %+v", d.Name, end)
		}
	}
	t.Logf("after the restore: %v", tally)

	f.Eventually("the forgotten revocation to show", forgotten.Online)
	f.SetDesiredState(forgotten.Name, v1alpha1.NodeRevoked)
	f.Eventually("the forgotten machine to be cut", func() bool { return !forgotten.Online() })
	if stolen.Sessions() != sessions {
		t.Error("the stolen machine had a session between the restore and its revocation")
	}
	for _, a := range f.Sim.Agents()[:machines] {
		f.Eventually(a.Name+" to be back", a.Online)
		f.expectWorks(a.Name)
	}
	if open := f.unfinishedDispatches(); len(open) != 0 {
		t.Errorf("unfinished: %v", open)
	}
}

func (f *fleet) unfinishedDispatches() (names []string) {
	f.Helper()
	var list v1alpha1.CapabilityDispatchList
	if err := system.Client.List(f.Context(), &list); err != nil {
		f.Fatal(err)
	}
	for _, d := range list.Items {
		if d.Namespace == f.Namespace && !dispatch.Terminal(d.Status.Phase) {
			names = append(names, d.Name)
		}
	}
	return names
}
