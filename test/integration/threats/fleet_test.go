package threats_test

import (
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// fleet is the namespace of one test.
type fleet struct{ *testfleet.Fleet }

func newFleet(t *testing.T) *fleet {
	t.Helper()
	return &fleet{testfleet.New(t, system)}
}

// inSubtest returns the same fleet for a subtest.
func (f *fleet) inSubtest(t *testing.T) *fleet { return &fleet{f.InSubtest(t)} }

// stealIdentity pairs a machine, stops its agent and returns its identity.
func (f *fleet) stealIdentity(node string) store.Identity {
	f.Helper()
	return f.stealIdentityAs(node, node)
}

// stealIdentityAs does the same as `stealIdentity`, for a machine whose files have another name than its Node.
func (f *fleet) stealIdentityAs(node, files string) store.Identity {
	f.Helper()
	code, object := f.IssuePIN(node)
	agent := f.StartAgent(files, "--code", code)
	f.Approve(f.AwaitRequest(object.Name).Name)
	f.AwaitOnline(node)
	agent.Stop()
	testfleet.Await(f, node, &v1alpha1.Node{}, "without a session", func(n *v1alpha1.Node) bool { return !dispatch.SessionOf(n).Live() })
	return f.identityOf(files)
}

func (f *fleet) identityOf(files string) store.Identity {
	f.Helper()
	directory, err := store.Open(f.IdentityDir(files))
	if err != nil {
		f.Fatal(err)
	}
	defer directory.Close()
	id, err := directory.Identity()
	if err != nil {
		f.Fatal(err)
	}
	return id
}
