package session_test

import (
	"crypto/ecdsa"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/session"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
	"github.com/mooring-dev/mooring/test/eventually"
)

// connectWithClearance calls connect for an agent that waits for clearances.
func (m *machine) connectWithClearance(t *testing.T, r *replica, unsettled ...*gatewayv1.UnsettledDispatch) *agent {
	t.Helper()
	hello := m.nextHello(unsettled...)
	hello.Features = []gatewayv1.Feature{gatewayv1.Feature_FEATURE_CLEARANCE}
	a := m.startSession(t, r, hello)
	a.welcome = expect(a, "Welcome", (*gatewayv1.StreamNodeEventsResponse).GetWelcome)
	if len(a.welcome.GetFeatures()) != 1 {
		t.Fatalf("the gateway uses the features %v", a.welcome.GetFeatures())
	}
	expect(a, "TrustBundle", (*gatewayv1.StreamNodeEventsResponse).GetTrustBundle)
	return a
}

func (a *agent) sendAwaitingMediation(ref *gatewayv1.DispatchRef) {
	a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_AwaitingLocalMediation{
		AwaitingLocalMediation: &gatewayv1.AwaitingLocalMediation{Dispatch: ref, AskedUser: "ada"}}})
}

func (a *agent) approve(ref *gatewayv1.DispatchRef) {
	a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_MediationDecided{
		MediationDecided: &gatewayv1.MediationDecided{Dispatch: ref}}})
}

func (a *agent) wantStage(stage gatewayv1.Clearance_Stage) {
	a.t.Helper()
	if got := expect(a, "Clearance", (*gatewayv1.StreamNodeEventsResponse).GetClearance).GetStage(); got != stage {
		a.t.Fatalf("cleared up to %s, want %s", got, stage)
	}
}

func (a *agent) confirmNotStarted(ref *gatewayv1.DispatchRef) {
	a.Report(&gatewayv1.Result{Dispatch: ref, Outcome: gatewayv1.Result_OUTCOME_CANCELLED, Execution: gatewayv1.Result_EXECUTION_NOT_STARTED, ErrorCode: "Cancelled"})
}

func (m *machine) wantEnded(t *testing.T, d *v1alpha1.CapabilityDispatch, phase v1alpha1.DispatchPhase, execution v1alpha1.Execution, code string) {
	t.Helper()
	m.wantPhase(t, d, phase)
	if d.Status.Execution != execution || d.Status.Error == nil || d.Status.Error.Code != code {
		t.Errorf("status is %+v, want %s with error %s", d.Status, execution, code)
	}
}

func TestARightThatIsLostWhileAPersonIsAskedKeepsTheYesFromStarting(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, func(o *session.Options) { o.ReportGrace = time.Second })
	withdrawGrant := func(n *v1alpha1.Node) { n.Spec.CapabilityPolicy.Allow = []string{"sleep"} }
	revoke := func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeRevoked }
	suspend := func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeSuspended }
	for name, tt := range map[string]struct {
		old       bool // an agent without FEATURE_CLEARANCE
		lose      func(*v1alpha1.Node)
		confirm   bool
		phase     v1alpha1.DispatchPhase
		execution v1alpha1.Execution
		code      string
	}{
		"grant":                        {false, withdrawGrant, true, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNotGranted},
		"grant, older agent":           {true, withdrawGrant, true, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNotGranted},
		"grant, the machine is silent": {false, withdrawGrant, false, v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, v1alpha1.ErrorNotGranted},
		"node revoked":                 {false, revoke, true, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNodeRevoked},
		"node suspended, older agent":  {true, suspend, true, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ReasonNodeSuspended},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
			connect := m.connectWithClearance
			if tt.old {
				connect = m.connect
			}
			a := connect(t, r)
			d, ref := m.createMediated(t, a)
			m.patchNode(t, tt.lose)
			a.nextCancel()
			if tt.confirm {
				a.confirmNotStarted(ref)
			}
			m.wantEnded(t, d, tt.phase, tt.execution, tt.code)
		})
	}
}

func TestWorkOfASuspendedNodeWaitsWithItsPhase(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connectWithClearance(t, r)
	d, ref := m.createMediated(t, a)
	m.patchNode(t, func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeSuspended })
	a.wantStage(gatewayv1.Clearance_STAGE_HOLD)
	a.approve(ref) // concurrent with the suspension
	a.waitHandled()
	a.RequireNoMessage()
	if phase := getLive(t, d).Status.Phase; phase != v1alpha1.DispatchAwaitingLocalMediation {
		t.Errorf("phase is %s while the Node is suspended", phase)
	}
	// In a later session of the machine the dispatch is held, too.
	a.stop()
	a = m.connectWithClearance(t, r, &gatewayv1.UnsettledDispatch{Dispatch: ref, State: gatewayv1.UnsettledDispatch_STATE_ACCEPTED})
	a.approve(ref)
	a.wantStage(gatewayv1.Clearance_STAGE_HOLD)
	m.patchNode(t, func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeActive })
	a.wantStage(gatewayv1.Clearance_STAGE_START)
	m.wantPhase(t, d, v1alpha1.DispatchDispatched)
	a.succeed(ref, `1`)
	a.nextSettled()
	m.wantPhase(t, d, v1alpha1.DispatchSucceeded)
}

// The Node watch has not delivered the suspension of the Node yet when the person approves.
func TestAYesIsClearedWithTheRightsOfItsMoment(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connectWithClearance(t, r)
	_, ref := m.createMediated(t, a)
	r.api.watch.Lock()
	t.Cleanup(r.api.watch.Unlock)
	m.patchNode(t, func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeSuspended })
	a.approve(ref)
	a.wantStage(gatewayv1.Clearance_STAGE_HOLD)
	a.waitHandled()
	a.RequireNoMessage()
}

func TestAStreamThatOutlivesItsCertificateIsOfferedNothing(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	lasting := m.tls
	short := ca.device.IssueDevice(t, m.id, &lasting.PrivateKey.(*ecdsa.PrivateKey).PublicKey, identitytest.ValidUntil(8*time.Second))
	m.tls.Certificate, m.tls.Leaf = [][]byte{short.Raw}, short
	a := m.connectWithClearance(t, r)
	_, ref := m.createMediated(t, a)
	eventually.True(t, "the certificate has expired", func() bool { return time.Now().After(short.NotAfter.Add(time.Second)) })
	late := m.createDispatch(t, nil)
	a.approve(ref)
	a.wantStage(gatewayv1.Clearance_STAGE_HOLD)
	a.waitHandled()
	a.RequireNoMessage()
	if phase := getLive(t, late).Status.Phase; phase != v1alpha1.DispatchQueued {
		t.Errorf("the dispatch is %s after the expiry of the certificate", phase)
	}
	m.tls = lasting
	a = m.connectWithClearance(t, r, &gatewayv1.UnsettledDispatch{Dispatch: ref, State: gatewayv1.UnsettledDispatch_STATE_ACCEPTED})
	if uid := a.nextOffer().GetDispatch().GetUid(); uid != string(late.UID) {
		t.Errorf("offered %s, want the late dispatch", uid)
	}
	a.approve(ref)
	a.wantStage(gatewayv1.Clearance_STAGE_START)
}

// createMediated creates a dispatch that its machine accepts and asks a person about.
func (m *machine) createMediated(t *testing.T, a *agent) (*v1alpha1.CapabilityDispatch, *gatewayv1.DispatchRef) {
	t.Helper()
	d := m.createDispatch(t, nil)
	ref := a.nextOffer().GetDispatch()
	a.accept(ref)
	a.sendAwaitingMediation(ref)
	m.wantPhase(t, d, v1alpha1.DispatchAwaitingLocalMediation)
	return d, ref
}

// grantInvoke grants subject the right to dispatch echo until revoke is called.
func grantInvoke(t *testing.T, namespace string, subject rbacv1.Subject) (revoke func()) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "requester"}
	binding := &rbacv1.RoleBinding{ObjectMeta: meta,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name}, Subjects: []rbacv1.Subject{subject}}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"mooring.dev"}, Resources: []string{"capabilities"}, ResourceNames: []string{"echo"}, Verbs: []string{"invoke"}},
		{APIGroups: []string{"mooring.dev"}, Resources: []string{"capabilitydispatches"}, Verbs: []string{"create"}}}}
	if err := shared.Client().Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	if err := shared.Client().Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := shared.Client().Delete(t.Context(), binding); err != nil {
			t.Fatal(err)
		}
	}
}

// createAs creates a dispatch as the owner of config.
func (m *machine) createAs(t *testing.T, config *rest.Config) *v1alpha1.CapabilityDispatch {
	t.Helper()
	as := shared.ClientFor(t, config)
	var d *v1alpha1.CapabilityDispatch
	eventually.True(t, "the requester may dispatch", func() bool {
		d = m.newDispatch()
		return as.Create(t.Context(), d) == nil
	})
	return d
}

func TestTheRightOfARequesterWhoseWorkWaitedIsReviewed(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	const after = 3 * time.Second
	r := startReplica(t, ca, func(o *session.Options) { o.ReviewAfter = after })
	account := func(t *testing.T, namespace string) *corev1.ServiceAccount {
		t.Helper()
		sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "robot"}}
		if err := shared.Client().Create(t.Context(), sa); err != nil {
			t.Fatal(err)
		}
		return sa
	}
	// prepare returns the configuration of the requester and a function that revokes its right.
	for name, prepare := range map[string]func(t *testing.T, namespace string) (*rest.Config, func()){
		"kept by a group": func(t *testing.T, namespace string) (*rest.Config, func()) {
			grantInvoke(t, namespace, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "crew"})
			return shared.UserConfig("rita", "crew"), nil
		},
		"the RoleBinding is removed": func(t *testing.T, namespace string) (*rest.Config, func()) {
			return shared.UserConfig("rita"), grantInvoke(t, namespace, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: "rita"})
		},
		"the ServiceAccount is made again": func(t *testing.T, namespace string) (*rest.Config, func()) {
			sa := account(t, namespace)
			grantInvoke(t, namespace, rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: "robot"})
			config, err := shared.ServiceAccountConfig(t.Context(), namespace, "robot")
			if err != nil {
				t.Fatal(err)
			}
			return config, func() {
				if err := shared.Client().Delete(t.Context(), sa); err != nil {
					t.Fatal(err)
				}
				account(t, namespace)
			}
		},
	} {
		for _, step := range []string{"offer", "yes"} {
			t.Run(name+", before the "+step, func(t *testing.T) {
				t.Parallel()
				m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
				config, lose := prepare(t, m.id.Namespace)
				if step == "offer" {
					d := m.createAs(t, config)
					if lose != nil {
						lose()
					}
					eventually.True(t, "the dispatch is old enough for a review", func() bool { return time.Now().After(d.CreationTimestamp.Add(after + 2*time.Second)) })
					a := m.connectWithClearance(t, r)
					if lose == nil {
						a.nextOffer()
						return
					}
					m.wantEnded(t, d, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNoLongerAllowed)
					return
				}
				a := m.connectWithClearance(t, r)
				d := m.createAs(t, config)
				ref := a.nextOffer().GetDispatch()
				a.accept(ref)
				a.sendAwaitingMediation(ref)
				m.wantPhase(t, d, v1alpha1.DispatchAwaitingLocalMediation)
				if lose != nil {
					lose()
				}
				eventually.True(t, "the dispatch is old enough for a review", func() bool { return time.Now().After(d.CreationTimestamp.Add(after + 2*time.Second)) })
				a.approve(ref)
				if lose == nil {
					a.wantStage(gatewayv1.Clearance_STAGE_START)
					return
				}
				a.nextCancel()
				a.confirmNotStarted(ref)
				m.wantEnded(t, d, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNoLongerAllowed)
			})
		}
	}
}
