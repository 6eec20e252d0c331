package threats_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// createVictim returns a second machine of the fleet whose agent does not run, so that its dispatch stays
// queued.
func (f *fleet) createVictim() (*v1alpha1.Node, *v1alpha1.CapabilityDispatch) {
	f.Helper()
	f.stealIdentity("victim")
	return f.GetNode("victim"), f.CreateDispatch("victim", "echo", map[string]any{"for": "victim"})
}

// checkUnchanged fails the test if any state of the victim differs from before.
func (f *fleet) checkUnchanged(node *v1alpha1.Node, d *v1alpha1.CapabilityDispatch) {
	f.Helper()
	after := f.GetNode("victim")
	if diff := cmp.Diff(node.Spec, after.Spec); diff != "" {
		f.Errorf("the Node of the victim (-before +after):\n%s", diff)
	}
	if node.Status.SessionID != after.Status.SessionID || node.Status.DialCounter != after.Status.DialCounter ||
		len(node.Status.CertificateHistory) != len(after.Status.CertificateHistory) {
		f.Errorf("the session or certificates of the victim changed: %+v, was %+v", after.Status, node.Status)
	}
	if live := testfleet.Read(f, d.DeepCopy()); live.Status.Phase != v1alpha1.DispatchQueued || live.Status.Execution != "" || live.Status.Output != nil || live.Status.Gateway != "" {
		f.Errorf("the dispatch of the victim became %+v", live.Status)
	}
}

// A machine with a valid certificate names another machine in every call.
func TestCallsWithTheNamesOfAnotherMachineAreRefused(t *testing.T) {
	f := newFleet(t)
	node, d := f.createVictim()
	m := f.connect(f.stealIdentity("hostile"))
	theirs := identity.ID{TrustDomain: trustDomain, Namespace: f.Namespace, Node: "victim"}

	t.Run("a session that claims to run and to have finished it", func(t *testing.T) {
		g := m.machineInSubtest(t)
		ref := refOf(d)
		s := g.openSession(&gatewayv1.UnsettledDispatch{Dispatch: ref, State: gatewayv1.UnsettledDispatch_STATE_FINISHED})
		missing := &gatewayv1.DispatchRef{Namespace: ref.GetNamespace(), Name: "no-such", Uid: "4a8f1c1e-0000-0000-0000-000000000000"}
		for _, about := range []*gatewayv1.DispatchRef{ref, missing} {
			s.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Accepted{Accepted: &gatewayv1.Accepted{Dispatch: about}}})
			s.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Progress{Progress: &gatewayv1.Progress{Dispatch: about, Percent: 50}}})
			s.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_AwaitingLocalMediation{
				AwaitingLocalMediation: &gatewayv1.AwaitingLocalMediation{Dispatch: about, AskedUser: "mallory"}}})
			s.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_MediationDecided{MediationDecided: &gatewayv1.MediationDecided{Dispatch: about}}})
			s.Report(forgedResult(about))
			// The answer is the same for another machine's dispatch and for one that does not
			// exist.
			if got := s.awaitSettled(); got.GetUid() != about.GetUid() {
				t.Errorf("settled %v, want %v", got, about)
			}
		}
	})
	t.Run("the session of the victim, polled", func(t *testing.T) {
		g := m.machineInSubtest(t)
		for _, id := range []string{node.Status.SessionID, "no-such-session"} {
			_, err := g.client.PollDispatch(g.BoundedContext(), &gatewayv1.PollDispatchRequest{SessionId: id})
			g.checkCode(err, codes.FailedPrecondition)
			_, err = g.client.ReportResult(g.BoundedContext(), &gatewayv1.ReportResultRequest{SessionId: id, Messages: []*gatewayv1.StreamNodeEventsRequest{
				{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: forgedResult(refOf(d))}}}})
			g.checkCode(err, codes.FailedPrecondition)
		}
	})
	t.Run("a certificate with the name of the victim", func(t *testing.T) {
		g := m.machineInSubtest(t)
		csr := g.csr(m.Key, theirs)
		_, err := g.client.RotateDeviceCertificate(g.BoundedContext(), &gatewayv1.RotateDeviceCertificateRequest{Csr: csr})
		g.checkCode(err, codes.InvalidArgument)
		exporter := g.exporterOf(func(o ...grpc.CallOption) {
			_, _ = g.client.RegisterNode(g.BoundedContext(), &gatewayv1.RegisterNodeRequest{}, o...)
		})
		proof := g.sign(m.Key, identity.Proof{Method: identity.ProofRotate, Exporter: exporter, CSR: csr})
		_, err = g.client.RotateDeviceCertificate(g.BoundedContext(), &gatewayv1.RotateDeviceCertificateRequest{Csr: csr, Proof: proof})
		g.checkCode(err, codes.InvalidArgument)
		if code := g.recoverCertificate(theirs); code != codes.InvalidArgument && code != codes.Unauthenticated {
			t.Errorf("RecoverCertificate: %v, want a refusal", code)
		}
	})
	t.Run("the pairing request of the victim", func(t *testing.T) {
		m.machineInSubtest(t).pollForeignRequests("victim")
	})
	f.checkUnchanged(node, d)
	t.Run("giving up an identity gives up one's own", func(t *testing.T) {
		g := m.machineInSubtest(t)
		exporter := g.exporterOf(func(o ...grpc.CallOption) {
			_, _ = g.client.RegisterNode(g.BoundedContext(), &gatewayv1.RegisterNodeRequest{}, o...)
		})
		revoke := func(id identity.ID) error {
			proof := g.sign(m.Key, identity.Proof{Method: identity.ProofRevoke, Request: id.URI(), Exporter: exporter})
			_, err := g.client.RevokeDevicePairing(g.BoundedContext(), &gatewayv1.RevokeDevicePairingRequest{Reason: "victim", Proof: proof})
			return err
		}
		g.checkCode(revoke(theirs), codes.Unauthenticated)
		if err := revoke(m.ID); err != nil {
			t.Fatal(err)
		}
		testfleet.Await(g.fleet, "hostile", &v1alpha1.Node{}, "Revoked", func(n *v1alpha1.Node) bool { return n.Status.Trust == v1alpha1.TrustRevoked })
	})
	f.checkUnchanged(node, d)
}

// machineInSubtest returns the machine for a subtest.
func (m *machine) machineInSubtest(t *testing.T) *machine {
	g := *m
	g.fleet = m.inSubtest(t)
	return &g
}

func (m *machine) checkCode(err error, code codes.Code) {
	m.Helper()
	if status.Code(err) != code {
		m.Errorf("got %v, want %s", err, code)
	}
}

// pollForeignRequests polls requests with a foreign key; the answers do not show whether the
// requests exist.
func (m *machine) pollForeignRequests(node string) {
	m.Helper()
	var list v1alpha1.PairingRequestList
	if err := system.Client.List(m.Context(), &list); err != nil {
		m.Fatal(err)
	}
	exporter := m.exporterOf(func(o ...grpc.CallOption) {
		_, _ = m.pairing.GetPairingRequestStatus(m.BoundedContext(), &gatewayv1.GetPairingRequestStatusRequest{}, o...)
	})
	names, answers := []string{node + "-00000000-aaaaaa"}, map[string]bool{}
	for _, request := range list.Items {
		if request.Namespace == m.Namespace && request.Spec.NodeName == node {
			names = append(names, request.Name)
		}
	}
	if len(names) < 2 {
		m.Fatal("the victim has no request")
	}
	for _, name := range names {
		proof := m.sign(m.Key, identity.Proof{Method: identity.ProofPairingStatus, Request: m.Namespace + "/" + name, Exporter: exporter})
		_, err := m.pairing.GetPairingRequestStatus(m.BoundedContext(), &gatewayv1.GetPairingRequestStatusRequest{Namespace: m.Namespace, Name: name, Proof: proof})
		if err == nil {
			m.Errorf("request %s was shown to a foreign machine", name)
		}
		answers[status.Convert(err).String()] = true
	}
	if len(answers) != 1 {
		m.Errorf("the answers show which requests exist: %v", answers)
	}
}
