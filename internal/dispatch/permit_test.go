package dispatch

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// withdrawals lists the ways to lose a right, each with its effect on the next step.
var withdrawals = map[string]struct {
	change func(*v1alpha1.CapabilityDispatch, *Rights, *time.Time)
	want   PermissionKind
	code   string
}{
	"nothing is lost": {func(*v1alpha1.CapabilityDispatch, *Rights, *time.Time) {}, Permitted, ""},
	"the Node is deleted": {func(_ *v1alpha1.CapabilityDispatch, r *Rights, now *time.Time) {
		r.Node.DeletionTimestamp = &metav1.Time{Time: *now}
	}, Withdrawn, v1alpha1.ErrorNodeDeleted},
	"the Node is revoked": {func(_ *v1alpha1.CapabilityDispatch, r *Rights, _ *time.Time) {
		r.Node.Spec.DesiredState = v1alpha1.NodeRevoked
	}, Withdrawn, v1alpha1.ErrorNodeRevoked},
	"the Node is suspended": {func(_ *v1alpha1.CapabilityDispatch, r *Rights, _ *time.Time) {
		r.Node.Spec.DesiredState = v1alpha1.NodeSuspended
	}, Postponed, ""},
	"the Node is suspended and the grant is withdrawn": {func(_ *v1alpha1.CapabilityDispatch, r *Rights, _ *time.Time) {
		r.Node.Spec.DesiredState, r.Node.Spec.CapabilityPolicy.Allow = v1alpha1.NodeSuspended, nil
	}, Postponed, ""},
	"the grant is withdrawn": {func(_ *v1alpha1.CapabilityDispatch, r *Rights, _ *time.Time) {
		r.Node.Spec.CapabilityPolicy.Allow = nil
	}, Withdrawn, v1alpha1.ErrorNotGranted},
	"the grant is denied": {func(d *v1alpha1.CapabilityDispatch, r *Rights, _ *time.Time) {
		r.Node.Spec.CapabilityPolicy.Deny = []string{d.Spec.Capability}
	}, Withdrawn, v1alpha1.ErrorNotGranted},
	"the requester may not any more": {func(_ *v1alpha1.CapabilityDispatch, r *Rights, _ *time.Time) {
		r.Review = ReviewRefused
	}, Withdrawn, v1alpha1.ErrorNoLongerAllowed},
	"the requester may still": {func(_ *v1alpha1.CapabilityDispatch, r *Rights, _ *time.Time) {
		r.Review = ReviewPassed
	}, Permitted, ""},
	"the review has no result": {func(_ *v1alpha1.CapabilityDispatch, r *Rights, _ *time.Time) {
		r.Review = ReviewMissing
	}, Postponed, ""},
	"the certificate ends this moment": {func(_ *v1alpha1.CapabilityDispatch, r *Rights, now *time.Time) {
		r.CertificateEnd = *now
	}, Postponed, ""},
	"the dispatch expires this moment": {func(d *v1alpha1.CapabilityDispatch, _ *Rights, now *time.Time) {
		*now = ExpiryTime(d)
	}, Postponed, ""},
	"the dispatch is cancelled": {func(d *v1alpha1.CapabilityDispatch, _ *Rights, _ *time.Time) {
		d.Spec.Cancel = true
	}, Postponed, ""},
}

func TestEveryLostRightKeepsADispatchFromItsNextStep(t *testing.T) {
	for name, tt := range withdrawals {
		t.Run(name, func(t *testing.T) {
			d := queuedEcho()
			now := d.CreationTimestamp.Add(2 * time.Second)
			rights := Rights{Node: nodeThatGrants(d.Spec.Capability), CertificateEnd: now.Add(time.Hour)}
			tt.change(d, &rights, &now)
			if got := Permit(d, rights, now); got.Kind != tt.want || got.Code != tt.code || (got.Message == "") != (got.Code == "") {
				t.Errorf("permission is %+v, want kind %d with code %q", got, tt.want, tt.code)
			}
			if tt.want != Withdrawn || tt.code == v1alpha1.ErrorNoLongerAllowed {
				return
			}
			// The offer, which is the earlier step, ends with the same code.
			verdict := Admit(d, rights.Node, []v1alpha1.NodeCapability{{Name: d.Spec.Capability, Available: true}}, now)
			if got := outcomeOf(&verdict.Status); got != (outcome{v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, tt.code}) {
				t.Errorf("before its offer it ends %+v", got)
			}
		})
	}
}

func nodeThatGrants(capability string) *v1alpha1.Node {
	return &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "pc"},
		Spec: v1alpha1.NodeSpec{CapabilityPolicy: v1alpha1.CapabilityPolicy{Allow: []string{capability}}}}
}

func TestAWithdrawnDispatchEndsAsItsMachineSays(t *testing.T) {
	cancelled := func(e v1alpha1.Execution) Result {
		return Result{Outcome: v1alpha1.DispatchCancelled, Execution: e, ErrorCode: v1alpha1.ErrorCancelled, ErrorMessage: "it was cancelled"}
	}
	for _, code := range []string{v1alpha1.ErrorNotGranted, v1alpha1.ErrorNodeRevoked, v1alpha1.ErrorNoLongerAllowed} {
		d := queuedEcho(inPhase(v1alpha1.DispatchAwaitingLocalMediation))
		now := d.CreationTimestamp.Add(5 * time.Second)
		d.Status = Withdraw(d.Status, code, "no more", "gw", now)
		if d.Status.Phase != v1alpha1.DispatchAwaitingLocalMediation || WithdrawnCondition(d.Status) == nil {
			t.Fatalf("withdrawn: %+v", d.Status)
		}
		for name, tt := range map[string]struct {
			end  func() v1alpha1.CapabilityDispatchStatus
			want outcome
		}{
			"confirmed": {func() v1alpha1.CapabilityDispatchStatus {
				next, _ := Settle(d.Status, cancelled(v1alpha1.ExecutionNotStarted), "gw", now)
				return next
			}, outcome{v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, code}},
			"stopped while it ran": {func() v1alpha1.CapabilityDispatchStatus {
				next, _ := Settle(d.Status, cancelled(v1alpha1.ExecutionFinished), "gw", now)
				return next
			}, outcome{v1alpha1.DispatchFailed, v1alpha1.ExecutionFinished, code}},
			"it had run": {func() v1alpha1.CapabilityDispatchStatus {
				next, _ := Settle(d.Status, Result{Outcome: v1alpha1.DispatchSucceeded, Execution: v1alpha1.ExecutionFinished}, "gw", now)
				return next
			}, outcome{v1alpha1.DispatchSucceeded, v1alpha1.ExecutionFinished, ""}},
			"no answer": {func() v1alpha1.CapabilityDispatchStatus { return FinishUnconfirmed(d.Status, now) },
				outcome{v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, code}},
			"no answer, as the leader sees it": {func() v1alpha1.CapabilityDispatchStatus {
				facts := endedSessionFacts(-100, -50)
				if early := DecideLeaderless(d, facts, now); early.Status != nil || early.RequeueAfter != ResultGrace {
					t.Errorf("the leader decides without waiting for the machine: %+v", early)
				}
				return *DecideLeaderless(d, facts, now.Add(ResultGrace)).Status
			}, outcome{v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, code}},
		} {
			next := tt.end()
			if got := outcomeOf(&next); got != tt.want {
				t.Errorf("%s, %s: %+v, want %+v", code, name, got, tt.want)
			}
		}
	}
}
