package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// maxFailureChars bounds AnnotationFailure.
const maxFailureChars = 1024

// proofTimeout bounds one proof: a slow API server is no proof, and the next try comes soon.
const proofTimeout = 30 * time.Second

// Prover proves the policies while it leads: at once, and then every minute. It renews the proof
// Lease, or notes on it what is wrong.
type Prover struct {
	namespace    string
	identity     string
	user         string // whom the probes are made as
	own          client.Client
	impersonated client.Client
	clock        clock.PassiveClock
}

// NewProver returns a Prover. own is an uncached client of the controller, whose config is given
// to impersonate ServiceAccount mooring-probe; namespace is that of the account and of the proof
// Lease; identity names this process in it; clock tells the API server's time.
func NewProver(config *rest.Config, own client.Client, namespace, identity string, clock clock.PassiveClock) (*Prover, error) {
	user := "system:serviceaccount:" + namespace + ":" + v1alpha1.ProbeServiceAccount
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	impersonated, err := client.New(config, client.Options{Scheme: own.Scheme(), Mapper: own.RESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", user, err)
	}
	return &Prover{namespace: namespace, identity: identity, user: user, own: own, impersonated: impersonated, clock: clock}, nil
}

// NeedLeaderElection is true: one prover is enough.
func (p *Prover) NeedLeaderElection() bool { return true }

// Start proves until ctx ends.
func (p *Prover) Start(ctx context.Context) error {
	log := logf.FromContext(ctx).WithName("policy")
	last := ""
	for {
		next := interval
		err := p.Prove(ctx)
		if err != nil {
			next = retryInterval
		}
		if said := fmt.Sprint(err); said != last && ctx.Err() == nil {
			last = said
			if err != nil {
				log.Error(err, "admission policies are not proven")
			} else {
				log.Info("admission policies are proven")
			}
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// Prove tries once and records the outcome on the Lease. The error says what is wrong; one that
// shows nothing about the policies leaves the Lease to grow old.
func (p *Prover) Prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	began := p.clock.Now() // what was created later is not covered
	err := p.prove(ctx)
	if err != nil && !errors.Is(err, errDisproved) {
		return err
	}
	return errors.Join(err, p.record(ctx, err, began))
}

func (p *Prover) prove(ctx context.Context) error {
	if err := compare(ctx, p.own); err != nil {
		return err
	}
	for _, probe := range probes(p.namespace, p.own, p.impersonated) {
		if err := probe.try(ctx, p.user); err != nil {
			return err
		}
	}
	return nil
}

// record renews the Lease after a proof (nil) or notes the failure on it. Leadership may change
// hands in between: a conflict is retried with the next try.
func (p *Prover) record(ctx context.Context, failure error, began time.Time) error {
	key := client.ObjectKey{Namespace: p.namespace, Name: v1alpha1.PolicyProofLease}
	lease := &coordinationv1.Lease{}
	err := p.own.Get(ctx, key, lease)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return fmt.Errorf("read the proof of the admission policies: %w", err)
	}
	before := lease.DeepCopy()
	lease.Namespace, lease.Name = key.Namespace, key.Name
	note(lease, failure)
	if failure == nil {
		lease.Spec.HolderIdentity = &p.identity
		lease.Spec.LeaseDurationSeconds = ptr.To(int32(Freshness / time.Second))
		lease.Spec.RenewTime = ptr.To(metav1.NewMicroTime(began))
	}
	switch {
	case missing:
		err = p.own.Create(ctx, lease)
	case failure != nil && before.Annotations[AnnotationFailure] == lease.Annotations[AnnotationFailure]:
		return nil
	default:
		err = p.own.Update(ctx, lease)
	}
	if err != nil {
		return fmt.Errorf("record the proof of the admission policies: %w", err)
	}
	return nil
}

func note(lease *coordinationv1.Lease, failure error) {
	if failure == nil {
		delete(lease.Annotations, AnnotationFailure)
		return
	}
	if lease.Annotations == nil {
		lease.Annotations = map[string]string{}
	}
	said := strings.TrimPrefix(failure.Error(), errDisproved.Error()+": ")
	lease.Annotations[AnnotationFailure] = strings.ToValidUTF8(said[:min(len(said), maxFailureChars)], "")
}
