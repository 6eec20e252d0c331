// Package certificates is the gateway's half of the only path to a certificate. It checks the
// proof, writes the request into the Node's status, and waits there for the controller's answer. It
// decides nothing: the controller checks everything again.
package certificates

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/certstatus"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/ratelimit"
	"github.com/mooring-dev/mooring/internal/gateway/wakeup"
	"github.com/mooring-dev/mooring/internal/identity"
)

const (
	// requestBurst is the number of requests that one Node may send at once, because of a lost answer
	// or a rotation after a renewal. After that it may send one in each requestInterval.
	requestBurst    = 8
	requestInterval = 20 * time.Second
	// maxNodes bounds the Nodes with a budget.
	maxNodes = 1 << 16
)

// ErrPending means that the controller has not answered within the time of the call. The request
// stays in the Node's status, and the machine asks again.
var ErrPending = errors.New("the certificate has not been issued yet")

// ErrNodeGone means that the Node does not exist any more.
var ErrNodeGone = errors.New("the Node does not exist")

// RefusedError means that the controller refused to issue a certificate for this request.
type RefusedError struct {
	// Message is for the machine's owner: the reason and the action to take.
	Message string
}

func (e *RefusedError) Error() string { return "certificate refused: " + e.Message }

// Options configures a Requester. All fields are required.
type Options struct {
	// Client reads Nodes from the cache and applies with the gateway's rights.
	Client client.Client
	// Nodes receives the events of the informer of Nodes.
	Nodes *wakeup.Hub
	// Bundle returns the server bundle that machines receive.
	Bundle func() identity.Bundle
	// TrustDomain is the trust domain of every identity.
	TrustDomain string
	// Clock gives the time of the apiserver.
	Clock clock.PassiveClock
	Log   logr.Logger
}

// Requester obtains certificates for machines whose proof has been checked.
type Requester struct {
	options Options
	limiter *ratelimit.Keyed[types.UID]
}

// New returns a Requester.
func New(options Options) *Requester {
	return &Requester{options: options, limiter: ratelimit.New[types.UID](options.Clock, maxNodes)}
}

// Request is a request for a certificate. Its sender has checked the CSR and the proof.
type Request struct {
	// Node is the Node as the sender read it. Its UID guards against another Node of the same name.
	Node *v1alpha1.Node
	// CSR is the PKCS#10 request, DER.
	CSR     []byte
	Purpose v1alpha1.CertificatePurpose
	// Proof is nil where the CSR's own signature by the pinned key is enough.
	Proof *v1alpha1.CertificateProof
}

// Obtain writes the request into the Node's status and waits for the answer until ctx ends. It
// returns the chain in DER, leaf first. Its errors are ErrPending, ErrNodeGone, *RefusedError, a
// status (too many requests of one Node), or an error of the API.
func (r *Requester) Obtain(ctx context.Context, request Request) ([][]byte, error) {
	key := client.ObjectKeyFromObject(request.Node)
	requestSHA256 := identity.FingerprintCSR(request.CSR)
	events, cancel := r.options.Nodes.Subscribe(key)
	defer cancel()

	if chain, done, err := r.readAnswer(ctx, key, request.Node.UID, requestSHA256); done || err != nil {
		r.debugAnswer(key, requestSHA256, err)
		return chain, err
	}
	if err := r.takeRequest(request.Node.UID); err != nil {
		r.debugAnswer(key, requestSHA256, err)
		return nil, err
	}
	if err := r.writeRequest(ctx, request); err != nil {
		return nil, err
	}
	r.options.Log.Info("certificate requested", "namespace", key.Namespace, "node", key.Name, "purpose", request.Purpose, "requestSHA256", requestSHA256)
	for {
		chain, done, err := r.readAnswer(ctx, key, request.Node.UID, requestSHA256)
		if done || err != nil {
			r.debugAnswer(key, requestSHA256, err)
			return chain, err
		}
		select {
		case <-events:
		case <-ctx.Done():
			r.debugAnswer(key, requestSHA256, ErrPending)
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, ErrPending
			}
			return nil, ctx.Err()
		}
	}
}

// takeRequest takes one request from the budget of a Node, so that a hostile machine harms only
// itself. Each request costs two writes and a signature.
func (r *Requester) takeRequest(node types.UID) error {
	if r.limiter.Take(node, ratelimit.Rate{Burst: requestBurst, Every: requestInterval}) > 0 {
		return denial.Newf(codes.ResourceExhausted, gatewayv1.ReasonRateLimited, "too many certificate requests for this Node; wait %s before the next one", requestInterval)
	}
	return nil
}

// debugAnswer writes a debug line about the answer to a request: the certificate, or err.
func (r *Requester) debugAnswer(key types.NamespacedName, requestSHA256 string, err error) {
	log := r.options.Log.V(1)
	switch {
	case !log.Enabled():
	case err == nil:
		log.Info("certificate handed on", "namespace", key.Namespace, "node", key.Name, "requestSHA256", requestSHA256)
	default:
		log.Info("no certificate handed on", "namespace", key.Namespace, "node", key.Name, "requestSHA256", requestSHA256, "reason", err.Error())
	}
}

// readAnswer returns the controller's answer to exactly this request, if there is one.
func (r *Requester) readAnswer(ctx context.Context, key types.NamespacedName, uid types.UID, requestSHA256 string) (chain [][]byte, done bool, err error) {
	var node v1alpha1.Node
	if err := r.options.Client.Get(ctx, key, &node); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return nil, false, ErrNodeGone
		}
		return nil, false, fmt.Errorf("read Node %s: %w", key, err)
	}
	if node.UID != uid {
		return nil, false, ErrNodeGone
	}
	issued := node.Status.Issued
	if issued == nil || issued.RequestSHA256 != requestSHA256 {
		return nil, false, nil
	}
	if issued.Error != "" {
		return nil, false, &RefusedError{Message: issued.Error}
	}
	published, err := certstatus.ParseChain(issued)
	return identity.MarshalChain(published), err == nil, err
}

// now returns the apiserver's time in whole seconds, as the API stores it.
func (r *Requester) now() metav1.Time {
	return metav1.NewTime(r.options.Clock.Now().UTC().Truncate(time.Second))
}
