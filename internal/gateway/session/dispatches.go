package session

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
)

// newTable returns the empty table of a session whose Hello is known.
func (s *session) newTable() *dispatchtable.Table {
	fixed := dispatchtable.Session{ID: s.id, Node: s.key, ClearanceSupported: s.clearanceSupported, Steps: s.steps, UnknownResults: s.unknownResults}
	if s.caller.Certificate != nil {
		fixed.CertificateExpiry = s.caller.Certificate.NotAfter
	}
	return dispatchtable.New(&s.service.tables, fixed)
}

// snapshot returns what the session knows now, for its table.
func (s *session) snapshot(ctx context.Context) dispatchtable.Snapshot {
	return dispatchtable.Snapshot{
		Local: s.service.Clock.Now(), Server: s.service.Time.Now(), Node: s.node,
		Declared: s.facts.Declared, AlteredSchemas: s.facts.AlteredSchemas,
		Draining: s.draining, Ended: s.ended, Cancelled: ctx.Err() != nil,
	}
}

// do carries out the effects of a call of the table.
func (s *session) do(ctx context.Context, effects dispatchtable.Effects) {
	for _, m := range effects.Messages {
		s.send(m)
	}
	for _, job := range effects.Jobs {
		s.startJob(ctx, job)
	}
	if !effects.WakeAt.IsZero() {
		s.wakeBy(effects.WakeAt)
	}
}

// startJob runs a job of the table in a worker and passes its result to the table.
func (s *session) startJob(ctx context.Context, job dispatchtable.Job) {
	switch job := job.(type) {
	case *dispatchtable.Write:
		s.runInWorker(ctx, func(ctx context.Context) func(context.Context) { return s.write(ctx, job) })
	case *dispatchtable.Read:
		s.runInWorker(ctx, func(ctx context.Context) func(context.Context) { return s.read(ctx, job) })
	case *dispatchtable.Review:
		s.runInWorker(ctx, func(ctx context.Context) func(context.Context) {
			review, err := s.service.review(ctx, job.Dispatch)
			return func(ctx context.Context) { s.do(ctx, s.table.HandleReview(s.snapshot(ctx), job, review, err)) }
		})
	case *dispatchtable.Recheck:
		s.runInWorker(ctx, func(ctx context.Context) func(context.Context) { return s.recheck(ctx, job) })
	}
}

// write makes a write of the table. Before a write that depends on it, it reads the live Node.
func (s *session) write(ctx context.Context, job *dispatchtable.Write) func(context.Context) {
	var node *v1alpha1.Node
	stored, err := s.service.mailbox.Write(ctx, job.Step, job.Dispatch, func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		if !job.IfRecorded {
			return job.Decide(d, nil, now)
		}
		live, err := s.service.getNode(ctx, s.key)
		if err != nil {
			return d.Status, false // The decision is made again later.
		}
		if node = live; node.Status.SessionID != s.id {
			return d.Status, false
		}
		return job.Decide(d, node, now)
	})
	return func(ctx context.Context) {
		if node != nil {
			s.applyNode(ctx, node, false)
		}
		s.do(ctx, s.table.HandleWritten(s.snapshot(ctx), job, stored, err))
	}
}

func (s *session) read(ctx context.Context, job *dispatchtable.Read) func(context.Context) {
	ref := job.Dispatch
	live, err := s.service.mailbox.Read(ctx, types.NamespacedName{Namespace: ref.GetNamespace(), Name: ref.GetName()}, types.UID(ref.GetUid()))
	return func(ctx context.Context) {
		s.do(ctx, s.table.HandleRead(s.snapshot(ctx), job, live, err))
		s.stopWhenConfirmed() // The read may have been for a result.
	}
}

// recheck reads the live Node and reviews the requester's right, then lets the table clear the step.
func (s *session) recheck(ctx context.Context, job *dispatchtable.Recheck) func(context.Context) {
	node, err := s.service.getNode(ctx, s.key)
	review := dispatch.ReviewNotDue
	if err == nil && s.service.tables.ReviewDue(job.Dispatch, s.service.Time.Now()) {
		review, err = s.service.review(ctx, job.Dispatch)
	}
	return func(ctx context.Context) {
		s.table.FinishRecheck(job, review, err)
		if err == nil {
			s.applyNode(ctx, node, false)
		}
		select {
		case <-s.stopped:
		default:
			s.do(ctx, s.table.Clear(s.snapshot(ctx), job, err))
		}
	}
}

// supportsClearance reports whether the agent that sent the Hello waits for clearances.
func supportsClearance(hello *gatewayv1.Hello) bool {
	return slices.Contains(hello.GetFeatures(), gatewayv1.Feature_FEATURE_CLEARANCE)
}
