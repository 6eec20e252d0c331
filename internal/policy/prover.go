package policy

import (
	"context"
	"crypto/rand"
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
	"github.com/mooring-dev/mooring/internal/foreign"
)

// maxFailureChars bounds AnnotationFailure.
const maxFailureChars = 1024

// proofTimeout bounds one proof: a slow API server proves nothing, and the next attempt follows
// soon.
const proofTimeout = 30 * time.Second

// errUnconfirmed keeps the gates closed for the first seconds of an Epoch: objects created in them
// cannot be covered.
var errUnconfirmed = errors.New("policies or bindings were replaced, edited or broken since the last proof: they work, and are proven again in some seconds")

// Prover proves the policies while it leads: at once, then every minute, after a change of a policy
// and on request. It maintains the Record, and renews the proof Lease or records the failure on it.
type Prover struct {
	namespace    string
	identity     string
	user         string // user that the probes impersonate
	config       *rest.Config
	own          client.Client
	impersonated client.Client
	clock        clock.PassiveClock
	record       *Record
	hooksRanFor  string // ID of the Epoch for which the hooks ran
	store        historyStore
}

// NewProver returns a Prover. own is an uncached client of the controller, and config is its
// configuration, which may impersonate ServiceAccount mooring-probe. namespace is the namespace of
// the account and of the proof Lease. identity names this process in the Lease; clock gives the API
// server's time.
func NewProver(config *rest.Config, own client.Client, namespace, identity string, clock clock.PassiveClock) (*Prover, error) {
	user := "system:serviceaccount:" + namespace + ":" + v1alpha1.ProbeServiceAccount
	impersonatedConfig := rest.CopyConfig(config)
	impersonatedConfig.Impersonate = rest.ImpersonationConfig{UserName: user}
	impersonated, err := client.New(impersonatedConfig, client.Options{Scheme: own.Scheme(), Mapper: own.RESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", user, err)
	}
	return &Prover{namespace: namespace, identity: identity, user: user, config: config, own: own, impersonated: impersonated, clock: clock,
		record: NewRecord(), store: newHistoryStore(own, namespace)}, nil
}

// Record returns the Record with the results of this process.
func (p *Prover) Record() *Record { return p.record }

// NeedLeaderElection returns true: one prover is enough.
func (p *Prover) NeedLeaderElection() bool { return true }

// Start proves until ctx ends.
func (p *Prover) Start(ctx context.Context) error {
	log := logf.FromContext(ctx).WithName("policy")
	go func() {
		if err := watchPolicies(ctx, p.config, p.own, p.record.Request); err != nil && ctx.Err() == nil {
			log.Error(err, "cannot watch the admission policies; only the proof of each minute detects changes")
		}
	}()
	last := ""
	for {
		next := interval
		err := p.Prove(ctx)
		if err != nil {
			next = retryInterval
		}
		if errors.Is(err, errUnconfirmed) {
			next = confirmInterval
		}
		log.V(1).Info("proof of the admission policies attempted", "proven", err == nil, "requeueAfter", next)
		if outcome := fmt.Sprint(err); outcome != last && ctx.Err() == nil {
			last = outcome
			if err != nil {
				log.Error(err, "admission policies are not proven")
			} else {
				log.Info("admission policies are proven")
			}
		}
		if !p.waitForNext(ctx, next) {
			return nil
		}
	}
}

// waitForNext waits until the next attempt is due or requested, but at least requestInterval. It
// returns false when ctx ends.
func (p *Prover) waitForNext(ctx context.Context, next time.Duration) bool {
	due, soonest := time.NewTimer(next), time.NewTimer(requestInterval)
	defer due.Stop()
	defer soonest.Stop()
	select {
	case <-soonest.C:
	case <-ctx.Done():
		return false
	}
	select {
	case <-due.C:
	case <-p.record.Requests():
	case <-ctx.Done():
		return false
	}
	return true
}

// Prove attempts one proof and records the outcome on the Lease. An error that shows nothing about
// the policies leaves the Lease unchanged, so that its proof expires.
func (p *Prover) Prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	began := p.clock.Now() // objects created later are not covered
	objects, err := p.prove(ctx)
	if err != nil && !errors.Is(err, errDisproved) {
		return err
	}
	// The record precedes the Lease: a gate must not open before the Record covers its objects.
	if recordErr := p.recordHistory(ctx, objects, err, began); recordErr != nil {
		return errors.Join(err, recordErr)
	}
	if err == nil && !lastEpoch(p.record.snapshot()).confirmed() {
		err = errUnconfirmed
	}
	if err == nil {
		err = p.runEpochHooks(ctx)
	}
	return errors.Join(err, p.renewLease(ctx, err, began))
}

// runEpochHooks runs the hooks once per Epoch.
func (p *Prover) runEpochHooks(ctx context.Context) error {
	epoch := lastEpoch(p.record.snapshot())
	if p.hooksRanFor == epoch.ID {
		return nil
	}
	if err := p.record.runHooks(ctx); err != nil {
		return err
	}
	p.hooksRanFor = epoch.ID
	return nil
}

func (p *Prover) prove(ctx context.Context) (map[string]string, error) {
	objects, err := comparePolicies(ctx, p.own)
	if err != nil {
		return nil, err
	}
	for _, probe := range probes(p.namespace, p.own, p.impersonated) {
		err := probe.try(ctx, p.user)
		debugProbe(ctx, probe.description, err)
		if err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// debugProbe writes a debug line about the result of one probe. A nil error means that admission did
// what the probe expects.
func debugProbe(ctx context.Context, description string, err error) {
	switch log := logf.FromContext(ctx).WithName("policy").V(1); {
	case !log.Enabled():
	case err == nil:
		log.Info("probe passed", "probe", description)
	default:
		log.Info("probe failed", "probe", description, "reason", err.Error())
	}
}

// recordHistory stores the outcome of an attempt.
func (p *Prover) recordHistory(ctx context.Context, objects map[string]string, failure error, began time.Time) error {
	before, stored, err := p.store.load(ctx)
	if err != nil {
		return err
	}
	if stored == nil {
		before = p.record.snapshot() // the ConfigMap was deleted while this process runs
	}
	next := before.afterFailure(failureText(failure))
	if failure == nil {
		next = before.afterProof(objects, began, rand.Text())
	}
	if err := p.store.save(ctx, stored, next); err != nil {
		return err
	}
	p.record.set(next)
	if changed := before.changed(objects); changed != "" {
		logf.FromContext(ctx).WithName("policy").Info("admission policies were replaced or edited since the last proof", "objects", changed)
	}
	return nil
}

// renewLease renews the Lease after a proof (nil), or records the failure on it. Leadership may
// change in between: after a conflict, the next attempt tries again.
func (p *Prover) renewLease(ctx context.Context, failure error, began time.Time) error {
	key := client.ObjectKey{Namespace: p.namespace, Name: v1alpha1.PolicyProofLease}
	lease := &coordinationv1.Lease{}
	err := p.own.Get(ctx, key, lease)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return fmt.Errorf("read the proof of the admission policies: %w", err)
	}
	before := lease.DeepCopy()
	lease.Namespace, lease.Name = key.Namespace, key.Name
	setFailureAnnotation(lease, failure)
	if failure == nil {
		if lease.Annotations == nil {
			lease.Annotations = map[string]string{}
		}
		lease.Annotations[AnnotationEpoch] = lastEpoch(p.record.snapshot()).ID
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

func setFailureAnnotation(lease *coordinationv1.Lease, failure error) {
	if failure == nil {
		delete(lease.Annotations, AnnotationFailure)
		return
	}
	if lease.Annotations == nil {
		lease.Annotations = map[string]string{}
	}
	lease.Annotations[AnnotationFailure] = failureText(failure)
}

// failureText returns the text of a failure for users; "" for nil.
func failureText(failure error) string {
	if failure == nil {
		return ""
	}
	text := strings.TrimPrefix(failure.Error(), errDisproved.Error()+": ")
	return foreign.Truncate(text, maxFailureChars)
}
