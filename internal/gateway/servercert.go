package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/mooring-dev/mooring/internal/identity"
)

const (
	// tlsPollInterval is the interval at which --tls-dir is read: two small files.
	tlsPollInterval = time.Second
	// minCertificateAge is the age at which a renewed certificate replaces one that is still valid.
	// cert-manager does not backdate certificates, and the clocks of some machines are behind.
	minCertificateAge = identity.NotBeforeLeeway
)

// serverCertificate holds the certificate of both listeners: the files of --tls-dir with the server
// CA appended. It reads them again when they change.
type serverCertificate struct {
	dir string
	// optional means that a missing directory is no error and is not logged.
	optional bool
	trust    *Trust
	clock    clock.PassiveClock
	log      logr.Logger

	mu      sync.RWMutex
	files   tlsFiles // the files in use
	current *tls.Certificate
	problem error
	logged  string
}

func newServerCertificate(dir string, trust *Trust, clock clock.PassiveClock, log logr.Logger) *serverCertificate {
	return &serverCertificate{
		dir: dir, trust: trust, clock: clock, log: log,
		problem: fmt.Errorf("the server certificate in %s has not been read yet", dir),
	}
}

// get implements tls.Config.GetCertificate.
func (s *serverCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.current == nil {
		return nil, s.problem
	}
	return s.current, nil
}

// ready reports whether there is a certificate to serve with.
func (s *serverCertificate) ready() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.current != nil
}

// check returns nil while the certificate in use has not expired, and otherwise the last problem.
func (s *serverCertificate) check() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.current != nil && s.clock.Now().Before(s.current.Leaf.NotAfter) {
		return nil
	}
	return s.problem
}

// refresh reads the files and the bundle once.
func (s *serverCertificate) refresh() {
	if s.optional && isMissing(s.dir) {
		return
	}
	next, files, err := s.load()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.setProblem(err)
		return
	}
	s.problem = nil
	if s.current != nil && files.equal(s.files) && len(next.Certificate) == len(s.current.Certificate) &&
		string(next.Certificate[len(next.Certificate)-1]) == string(s.current.Certificate[len(s.current.Certificate)-1]) {
		s.problem = expiredError(next.Leaf, s.clock.Now())
		return
	}
	if s.current != nil && !files.equal(s.files) && s.mustWait(next) {
		return
	}
	s.files, s.current, s.logged = files, next, ""
	s.problem = expiredError(next.Leaf, s.clock.Now())
	s.log.Info("server certificate loaded", "serial", next.Leaf.SerialNumber.Text(16), "notAfter", next.Leaf.NotAfter)
}

// mustWait reports whether the old certificate must stay in use: machines trust it, and the clocks
// of some may be before the start of the new one.
func (s *serverCertificate) mustWait(next *tls.Certificate) bool {
	now := s.clock.Now()
	if now.Sub(next.Leaf.NotBefore) >= minCertificateAge || !now.Before(s.current.Leaf.NotAfter) {
		return false
	}
	_, trusted := appendCA(s.current, s.trust.Server().Certificates())
	return trusted
}

func (s *serverCertificate) load() (*tls.Certificate, tlsFiles, error) {
	files, err := readTLSFiles(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, files, fmt.Errorf("--tls-dir %s holds no %s and %s yet (the Secret of the gateway's Certificate): %w",
			s.dir, certificateFile, keyFile, err)
	}
	if err != nil {
		return nil, files, fmt.Errorf("read --tls-dir %s: %w", s.dir, err)
	}
	pair, err := files.parseKeyPair()
	if err != nil {
		return nil, files, fmt.Errorf("use %s and %s in --tls-dir %s: %w", certificateFile, keyFile, s.dir, err)
	}
	complete, ok := appendCA(pair, s.trust.Server().Certificates())
	if !ok {
		return nil, files, fmt.Errorf("the certificate in --tls-dir %s is not signed by any CA of the server bundle: machines would refuse it", s.dir)
	}
	return complete, files, nil
}

// setProblem keeps a problem and logs it once while it lasts. The certificate in use stays.
func (s *serverCertificate) setProblem(err error) {
	s.problem = err
	if err.Error() == s.logged {
		return
	}
	s.logged = err.Error()
	s.log.Info("server certificate cannot be used now", "problem", err.Error(), "keepingOld", s.current != nil)
}

func expiredError(leaf *x509.Certificate, now time.Time) error {
	if now.Before(leaf.NotAfter) {
		return nil
	}
	return fmt.Errorf("the server certificate expired at %s and was not renewed: check cert-manager", leaf.NotAfter.UTC().Format(time.RFC3339))
}

// run refreshes the certificate until ctx ends. It closes loaded once a certificate can be served.
func (s *serverCertificate) run(ctx context.Context, loaded chan<- struct{}) {
	ticker := time.NewTicker(tlsPollInterval)
	defer ticker.Stop()
	announced := false
	for {
		changed := s.trust.Changed()
		s.refresh()
		if !announced && s.ready() {
			announced = true
			close(loaded)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-changed:
		}
	}
}
