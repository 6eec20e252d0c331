package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
)

// Reasons of mooring_gateway_refused_total for connections. The reasons for wrong client
// certificates are in package identity.
const (
	reasonTooManyConnections = "TooManyConnections" // no room, and no connection could be closed for it
	reasonMadeRoom           = "MadeRoom"           // closed without a proof, for a newer connection
	reasonTooManyOfOneNode   = "TooManyOfOneNode"
	// reasonTooManyConnectionsOfNode means that the machine of a Node connects more often than
	// connectionQuota allows.
	reasonTooManyConnectionsOfNode = "TooManyConnectionsOfNode"
	reasonSilent                   = "Silent"            // no byte in time
	reasonClosed                   = "ClosedByClient"    // before the end of the handshake
	reasonPlainText                = "PlainText"         // no TLS
	reasonOldTLS                   = "OldTLS"            // no TLS 1.3
	reasonNoALPN                   = "NoALPN"            // no HTTP/2 offered
	reasonNoCertificate            = "NoCertificate"     // none shown
	reasonBadCertificate           = "BadCertificate"    // cannot be parsed, or does not belong to the key
	reasonRefusedByClient          = "RefusedByClient"   // a TLS alert: the client does not trust this server
	reasonTooLarge                 = "HandshakeTooLarge" // more than maxHandshakeBytes
	reasonHandshakeTimeout         = "HandshakeTimeout"
	reasonHandshake                = "Handshake" // any other
	reasonUnfinished               = "UnfinishedBytes"
	reasonReceiveBudget            = "ReceiveBudget"
	reasonReceiveTimeout           = "ReceiveTimeout"
)

// Reasons of mooring_gateway_refused_total for calls.
const (
	reasonTooManyCalls    = "TooManyCalls"
	reasonTooManyRefusals = "TooManyRefusals" // in a row: the connection is closed
)

// recordTypeHandshake is the first byte of TLS (RFC 8446, section 5.1).
const recordTypeHandshake = 22

var (
	errPlainText        = errors.New("the first byte is not a TLS handshake record")
	errHandshakeTimeout = errors.New("the TLS handshake takes too long")
)

// refusalsPerSecond and refusalBurst bound the log lines about refused handshakes. maxRefusalText
// bounds the error in a line, because a client chooses parts of it.
const (
	refusalsPerSecond = 1
	refusalBurst      = 10
	maxRefusalText    = 200
)

// refusalReporter counts refused handshakes of a listener and logs a sample of them.
type refusalReporter struct {
	listener string
	metrics  *Metrics
	log      logr.Logger

	mu         sync.Mutex
	lines      *rate.Limiter
	suppressed int // refusals since the last line
}

func newRefusalReporter(listener string, metrics *Metrics, log logr.Logger) *refusalReporter {
	return &refusalReporter{listener: listener, metrics: metrics, log: log, lines: rate.NewLimiter(refusalsPerSecond, refusalBurst)}
}

// report counts a refused handshake and logs it if the limit of lines allows.
func (r *refusalReporter) report(conn net.Conn, reason string, err error) {
	defer r.metrics.countRefused(r.listener, reason) // Count last: the log line exists when the counter changes.
	r.mu.Lock()
	suppressed, allowed := r.suppressed, r.lines.AllowN(time.Now(), 1)
	if r.suppressed++; allowed {
		r.suppressed = 0
	}
	r.mu.Unlock()
	if !allowed {
		return
	}
	r.log.Info("TLS handshake refused", "listener", r.listener, "address", conn.RemoteAddr().String(), "reason", reason,
		"error", foreign.TruncateLine(err.Error(), maxRefusalText), "suppressed", suppressed)
}

// refusalReason returns a bounded label for a failed handshake. crypto/tls has no errors of its own
// for most reasons, so it compares error texts; a test checks them.
func refusalReason(err error) string {
	var certificate *identity.CertificateError
	if errors.As(err, &certificate) {
		return certificate.Reason
	}
	if errors.Is(err, errHandshakeTooLarge) {
		return reasonTooLarge
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return reasonHandshakeTimeout
	}
	if record := (tls.RecordHeaderError{}); errors.As(err, &record) {
		return reasonPlainText
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return reasonClosed
	}
	for _, known := range []struct{ text, reason string }{
		{"unsupported versions", reasonOldTLS},
		{"unsupported application protocols", reasonNoALPN},
		{"missing selected ALPN", reasonNoALPN},
		{"didn't provide a certificate", reasonNoCertificate},
		{"parse certificate", reasonBadCertificate},
		{"malformed certificate", reasonBadCertificate},
		{"signature by the client certificate", reasonBadCertificate},
		{"unsupported certificate", reasonBadCertificate},
		{"remote error", reasonRefusedByClient},
	} {
		if strings.Contains(err.Error(), known.text) {
			return known.reason
		}
	}
	return reasonHandshake
}
