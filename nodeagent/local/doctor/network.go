package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// checkNetwork checks the path to the gateway: the node listener, or the pairing listener of a
// machine that is not paired. It checks each of several gateways. One reachable gateway is enough
// to connect, so the failures of the others are then only warnings.
func (p *examination) checkNetwork(ctx context.Context) (all []Check) {
	endpoints := strings.Split(p.endpoint, ",")
	if len(endpoints) == 1 {
		return p.checkGateway(ctx, cmp.Or(p.endpoint, p.Pairing))
	}
	reached := false
	for _, endpoint := range endpoints {
		found := p.checkGateway(ctx, endpoint)
		for i := range found {
			found[i].Found = endpoint + ": " + found[i].Found
		}
		reached = reached || found[len(found)-1].Result == OK
		all = append(all, found...)
	}
	for i := range all {
		if reached && all[i].Result == Failed {
			all[i].Result = Warning
		}
	}
	return all
}

// checkGateway checks the path to one listener: resolve, port and tls.
func (p *examination) checkGateway(ctx context.Context, endpoint string) []Check {
	if endpoint == "" {
		return []Check{skippedCheck("resolve", "no gateway is known: give --pairing"), skippedCheck("port", "see resolve"), skippedCheck("tls", "see resolve")}
	}
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return []Check{failedCheck("resolve", err.Error(), "give the address as HOST:PORT"), skippedCheck("port", "see resolve"), skippedCheck("tls", "see resolve")}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*checkTimeout)
	defer cancel()
	resolved := checkResolve(ctx, host, endpoint)
	if resolved.Result == Failed {
		return []Check{resolved, skippedCheck("port", "see resolve"), skippedCheck("tls", "see resolve")}
	}
	dialCtx, cancelDial := context.WithTimeout(ctx, checkTimeout)
	defer cancelDial()
	conn, err := link.DialTCP(dialCtx, "tcp", endpoint)
	if err != nil {
		return []Check{resolved, failedCheck("port", err.Error(), "let this machine out to TCP port "+port+" of "+host+", and ask whether the gateway runs"), skippedCheck("tls", "see port")}
	}
	defer conn.Close()
	return []Check{resolved, okCheck("port", conn.RemoteAddr().String()+" answers"), p.checkTLS(ctx, conn)}
}

// checkResolve looks up the host of a gateway, or names the proxy that resolves it.
func checkResolve(ctx context.Context, host, endpoint string) Check {
	const name = "resolve"
	proxy, err := link.ProxyFor(endpoint)
	switch {
	case err != nil:
		return failedCheck(name, err.Error(), "correct HTTPS_PROXY, or name the gateway in NO_PROXY")
	case proxy != nil:
		return okCheck(name, "proxy "+proxy.Redacted()+" of HTTPS_PROXY resolves "+host)
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return failedCheck(name, err.Error(), "check the name, the network and the DNS servers of this machine")
	}
	return okCheck(name, host+" is "+strings.Join(addresses, ", "))
}

// hasBundle reports whether there are CAs to verify a gateway with.
func (p *examination) hasBundle() bool { return len(p.bundle.Certificates()) > 0 }

// checkTLS makes the handshake without a client certificate and verifies the server's certificate.
func (p *examination) checkTLS(ctx context.Context, conn net.Conn) Check {
	const name = "tls"
	config := link.UnverifiedTLSConfig()
	config.MinVersion, config.NextProtos, config.ServerName = tls.VersionTLS13, []string{"h2"}, identity.ServerName
	if p.hasBundle() {
		config.ServerName = p.bundle.ServerName()
	}
	secure := tls.Client(conn, config)
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		return failedCheck(name, err.Error(), "the server there is not a gateway, or a proxy breaks the connection: TLS must reach the gateway unchanged")
	}
	chain := secure.ConnectionState().PeerCertificates
	leaf := chain[0]
	if leaf.NotAfter.After(p.notAfter) {
		p.notBefore, p.notAfter = leaf.NotBefore, leaf.NotAfter
	}
	found := fmt.Sprintf("certificate %s of %q, until %s", identity.FingerprintCertificate(leaf)[:16], leaf.Issuer.CommonName, leaf.NotAfter.UTC().Format(time.RFC3339))
	if !p.hasBundle() {
		return okCheck(name, found+"; this machine has no CA bundle yet to verify it with")
	}
	if err := identity.VerifyServer(chain, p.bundle.Pool(), p.Now(), identity.NotBeforeLeeway); err != nil {
		return failedCheck(name, found+": "+err.Error(),
			"if a clock is wrong, see clock; otherwise this is not the gateway this machine was paired with: check the address and proxies in between, and pair again only if the CA was replaced")
	}
	return okCheck(name, found+"; it verifies with the CA bundle of this machine")
}

// checkClock compares this machine's time with the gateway's time, which is known from a session or
// else bounded by the certificates.
func (p *examination) checkClock() Check {
	const name = "clock"
	const next = "set the clock of this machine, and keep it right by NTP"
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	report, err := status.FetchReport(ctx, store.RunPath(p.Dir))
	now := p.Now()
	switch {
	case err == nil && report.ClockSkewSeconds != nil:
		skew := time.Duration(*report.ClockSkewSeconds * float64(time.Second)).Round(time.Millisecond)
		found := fmt.Sprintf("the gateway's clock is %s ahead", skew)
		if skew.Abs() > time.Minute {
			return warningCheck(name, found, next)
		}
		return okCheck(name, found)
	case !p.notBefore.IsZero() && now.Before(p.notBefore.Add(-identity.NotBeforeLeeway)):
		return failedCheck(name, fmt.Sprintf("it is %s here, before the gateway's certificate began (%s)", now.UTC().Format(time.RFC3339), p.notBefore.UTC().Format(time.RFC3339)), next)
	case p.currentIdentity != nil && now.Before(p.currentIdentity.Leaf().NotBefore.Add(-identity.NotBeforeLeeway)):
		return failedCheck(name, fmt.Sprintf("it is %s here, before this machine's certificate began", now.UTC().Format(time.RFC3339)), next)
	case !p.notAfter.IsZero() && now.After(p.notAfter):
		return failedCheck(name, fmt.Sprintf("it is %s here, after the gateway's certificate ended", now.UTC().Format(time.RFC3339)), next+"; or the gateway does not renew its certificate")
	case p.notBefore.IsZero() && p.currentIdentity == nil:
		return skippedCheck(name, "there is nothing to compare it with")
	}
	return okCheck(name, "it agrees with the certificates; a session would measure it exactly")
}
