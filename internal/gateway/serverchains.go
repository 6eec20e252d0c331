package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"github.com/mooring-dev/mooring/internal/identity"
)

// previousFolder of --tls-dir holds a certificate of the previous server CA while that CA is still
// trusted. It serves machines that were offline when the bundle with the new CA was shipped.
const previousFolder = "previous"

// serverChains holds the certificate in use and, while the CA is replaced, the previous
// certificate.
type serverChains struct {
	*serverCertificate
	previous *serverCertificate
}

func newServerChains(dir string, trust *Trust, clock clock.PassiveClock, log logr.Logger) *serverChains {
	previous := newServerCertificate(filepath.Join(dir, previousFolder), trust, clock, log.WithName("previous"))
	previous.optional = true
	return &serverChains{serverCertificate: newServerCertificate(dir, trust, clock, log), previous: previous}
}

// get implements tls.Config.GetCertificate. It returns the previous chain to a client that asks for
// its CA by name, and the chain in use to all others.
func (c *serverChains) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	current, err := c.serverCertificate.get(hello)
	if err == nil && endsInNamedCA(current, hello.ServerName) {
		return current, nil
	}
	previous, previousErr := c.previous.get(hello)
	if previousErr == nil && endsInNamedCA(previous, hello.ServerName) {
		if _, trusted := appendCA(previous, c.previous.trust.Server().Certificates()); trusted {
			return previous, nil
		}
	}
	return current, err
}

// endsInNamedCA reports whether the chain ends in the CA that the SNI names.
func endsInNamedCA(chain *tls.Certificate, name string) bool {
	ca, err := x509.ParseCertificate(chain.Certificate[len(chain.Certificate)-1])
	return err == nil && name == identity.ServerNameForCA(identity.FingerprintSPKIDER(ca.RawSubjectPublicKeyInfo))
}

// run refreshes both certificates until ctx ends. It closes loaded once the certificate in use can
// be served.
func (c *serverChains) run(ctx context.Context, loaded chan<- struct{}) {
	var group errgroup.Group
	group.Go(func() error {
		c.serverCertificate.run(ctx, loaded)
		return nil
	})
	group.Go(func() error {
		c.previous.run(ctx, make(chan struct{}))
		return nil
	})
	_ = group.Wait()
}

// isMissing reports whether the directory does not exist. A missing previous certificate is no error.
func isMissing(dir string) bool {
	_, err := os.Stat(dir)
	return os.IsNotExist(err)
}
