package stack_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// rotateAndStop requests a certificate of a new key for a machine that ends before it uses the
// certificate. With stored the machine has stored it. The function returns the fingerprint of the
// new key.
func (f *fleet) rotateAndStop(name string, stored bool) (next string) {
	f.Helper()
	s, err := store.Open(system.IdentityDir(f.Namespace + "-" + name))
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	must := func(err error) {
		f.Helper()
		if err != nil {
			f.Fatal(err)
		}
	}
	current, err := s.Identity()
	must(err)
	bundle, err := s.Trust()
	must(err)
	config, err := s.Config()
	must(err)
	certificate := current.TLSCertificate()
	l, err := link.Dialer{}.Dial(f.BoundedContext(), config.NodeEndpoint, link.TLSConfig(bundle, &certificate, time.Now))
	must(err)
	defer l.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	csr, err := identity.NewCSR(key, current.ID)
	must(err)
	proof, err := identity.SignProof(current.Key, rand.Reader, identity.Proof{Method: identity.ProofRotate, Exporter: l.Exporter, CSR: csr})
	must(err)
	answer, err := gatewayv1.NewNodeServiceClient(l.Conn).RotateDeviceCertificate(f.BoundedContext(), &gatewayv1.RotateDeviceCertificateRequest{Csr: csr, Proof: proof})
	must(err)
	if stored {
		chain, err := identity.ParseChain(answer.GetChain())
		must(err)
		rotated, err := store.NewIdentity(key, chain)
		must(err)
		must(s.SaveIdentity(rotated))
	}
	next, err = identity.FingerprintSPKI(&key.PublicKey)
	must(err)
	return next
}

// A machine that dies in a rotation comes back after its certificates have expired, whatever is on
// its disk, and the pin is a key of the machine.
func TestAMachineThatDiedInARotationComesBackAfterItsCertificatesEnded(t *testing.T) {
	f := newFleet(t)
	restartController(f, "--certificate-duration="+lifetime.String())
	restore := sync.OnceFunc(func() { restartController(f) })
	t.Cleanup(restore)
	pins := map[string]string{}
	for name, stored := range map[string]bool{"before-storing": false, "after-storing": true, "after-storing-only": true} {
		f.Pair(name).Kill()
		pins[name] = f.GetNode(name).Spec.PublicKeySHA256
		if next := f.rotateAndStop(name, stored); stored {
			pins[name] = next
		}
	}
	restore()
	// Only the next key is left.
	if err := os.Remove(filepath.Join(system.IdentityDir(f.Namespace+"-after-storing-only"), "identity.pem.previous")); err != nil {
		t.Fatal(err)
	}
	t.Parallel() // the certificates end while other tests run
	for name, pin := range pins {
		t.Run(name, func(t *testing.T) {
			f := f.inSubtest(t)
			if node := f.GetNode(name); node.Spec.NextPublicKeySHA256 == "" {
				t.Fatalf("the Node admits no next key: %+v", node.Spec)
			}
			f.checkRecovered(name)
			testfleet.Await(f, name, &v1alpha1.Node{}, "pinned to the key in use", func(n *v1alpha1.Node) bool {
				return n.Spec.PublicKeySHA256 == pin && n.Status.Certificate != nil && n.Status.Certificate.PublicKeySHA256 == pin
			})
		})
	}
}
