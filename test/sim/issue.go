package sim

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
)

// issueWorkers keeps cert-manager busy without a queue that is longer than a request's timeout.
const issueWorkers = 24

// signer returns the certificate chain of a machine.
type signer func(ctx context.Context, name string, key *ecdsa.PrivateKey) ([]*x509.Certificate, error)

// Issue adds count agents whose identities an administrator creates: cert-manager signs the
// certificate, and the Node with its pin is created through the API. No person and no pairing take
// part; Pair adds agents that pair. Issue calls the function, if not nil, for each agent that has
// its identity.
func (f *Fleet) Issue(ctx context.Context, count int, onIssued func(*Agent) error) error {
	bundle, err := f.serverBundle(ctx)
	if err == nil && f.SignLocally {
		f.signer, err = f.newCAKeySigner(ctx)
	}
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(issueWorkers)
	for range count {
		a, err := f.newAgent()
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			if err := f.issue(ctx, a, bundle); err != nil {
				return fmt.Errorf("make the identity of %s: %w", a.Name, err)
			}
			if onIssued != nil {
				return onIssued(a)
			}
			return nil
		})
		if ctx.Err() != nil {
			break
		}
	}
	return group.Wait()
}

// Ramp combines Issue and Start: each agent starts soon after it has its identity, at most
// perSecond of them per second.
func (f *Fleet) Ramp(ctx context.Context, count int, perSecond float64) error {
	pace := rate.NewLimiter(rate.Limit(max(perSecond, 0.1)), 1)
	return f.Issue(ctx, count, func(a *Agent) error {
		if err := pace.Wait(ctx); err != nil {
			return err
		}
		a.start(f.agentCtx)
		return nil
	})
}

// serverBundle returns the CAs of the gateways. It waits for a controller that has not published
// them yet.
func (f *Fleet) serverBundle(ctx context.Context) (identity.Bundle, error) {
	trust, last := &corev1.ConfigMap{}, error(nil)
	err := f.poll(ctx, func(ctx context.Context) bool {
		last = f.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.TrustConfigMap}, trust)
		return last == nil
	})
	if err != nil {
		return identity.Bundle{}, fmt.Errorf("read the CA bundle of the gateways: %w", errors.Join(err, last))
	}
	return identity.ParseBundle([]byte(trust.Data[v1alpha1.TrustServerCAKey]))
}

func (f *Fleet) issue(ctx context.Context, a *Agent, bundle identity.Bundle) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		return err
	}
	pin, err := identity.FingerprintSPKI(&key.PublicKey)
	if err != nil {
		return err
	}
	node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: a.Name}, Spec: v1alpha1.NodeSpec{
		PublicKeySHA256: pin, PairingRequestUID: "simulated", MaxInFlight: 64,
		CapabilityPolicy: v1alpha1.CapabilityPolicy{Allow: a.allowedCapabilities()},
	}}
	if err := f.Client.Create(ctx, node); err != nil {
		return err
	}
	chain, err := f.signer(ctx, a.Name, key)
	if err != nil {
		return err
	}
	agentIdentity, err := store.NewIdentity(key, chain)
	if err != nil {
		return err
	}
	directory, err := store.Open(a.options.Dir)
	if err != nil {
		return err
	}
	config := store.Config{NodeEndpoint: f.NodeEndpoint, PairingEndpoint: f.PairingEndpoint}
	return errors.Join(directory.FinishPairing(agentIdentity, bundle, config), directory.Close())
}

// allowedCapabilities returns the capabilities that may be requested from a simulated machine.
func (a *Agent) allowedCapabilities() []string {
	names := []string{"echo", "system.*"}
	for _, c := range a.fleet.Extra {
		names = append(names, c.Name())
	}
	return names
}

// signWithCertManager lets cert-manager sign a device certificate.
func (f *Fleet) signWithCertManager(ctx context.Context, name string, key *ecdsa.PrivateKey) ([]*x509.Certificate, error) {
	der, err := identity.NewCSR(key, identity.ID{TrustDomain: f.TrustDomain, Namespace: f.Namespace, Node: name})
	if err != nil {
		return nil, err
	}
	order := &certmanagerv1.CertificateRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: f.Namespace + "-" + name},
		Spec: certmanagerv1.CertificateRequestSpec{
			Request:   identity.MarshalCSRPEM(der),
			Duration:  &metav1.Duration{Duration: 24 * time.Hour},
			IssuerRef: cmmeta.IssuerReference{Group: "cert-manager.io", Kind: certmanagerv1.IssuerKind, Name: v1alpha1.DeviceIssuer},
			Usages:    []certmanagerv1.KeyUsage{certmanagerv1.UsageDigitalSignature, certmanagerv1.UsageClientAuth},
		},
	}
	if err := f.Client.Create(ctx, order); err != nil {
		return nil, err
	}
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 2*time.Minute, false, func(ctx context.Context) (bool, error) {
		err := f.Client.Get(ctx, client.ObjectKeyFromObject(order), order)
		return err == nil && len(order.Status.Certificate) > 0, err
	})
	if err != nil {
		return nil, fmt.Errorf("wait for cert-manager: %w", err)
	}
	if err := f.Client.Delete(ctx, order); err != nil {
		return nil, err
	}
	return identity.ParseChainPEM(order.Status.Certificate)
}
