package link

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// maxProxyResponseBytes bounds the answer of a proxy to CONNECT, in bytes.
const maxProxyResponseBytes = 16 << 10

// ProxyFor returns the proxy for the address (host:port) of a gateway; nil means a direct
// connection. It reads HTTPS_PROXY and NO_PROXY of the environment, like curl. Loopback addresses
// are always reached directly.
func ProxyFor(address string) (*url.URL, error) {
	proxy, err := httpproxy.FromEnvironment().ProxyFunc()(&url.URL{Scheme: "https", Host: address})
	if err != nil {
		return nil, fmt.Errorf("read HTTPS_PROXY: %w", hidePassword(err))
	}
	// The parser reads a text that is not a URL as a host with a path, and a password with "?" or "#"
	// as a port with a query or a fragment. A message would then show the password.
	if proxy != nil && (proxy.Hostname() == "" || strings.Trim(proxy.Path, "/") != "" || proxy.RawQuery != "" || proxy.Fragment != "") {
		return nil, errors.New("HTTPS_PROXY is not the URL of a proxy: want http://HOST:PORT")
	}
	if proxy != nil && proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, fmt.Errorf("HTTPS_PROXY names a proxy of scheme %q: only http and https are supported", proxy.Scheme)
	}
	return proxy, nil
}

// hidePassword drops the URL from an error of its parser.
func hidePassword(err error) error {
	var parse *url.Error
	if errors.As(err, &parse) {
		return parse.Err
	}
	return errors.New("it is not the URL of a proxy")
}

// DialTCP opens a connection to the address (host:port) of a gateway, through the proxy of the
// environment where there is one. TLS to the gateway stays end to end.
func DialTCP(ctx context.Context, network, address string) (net.Conn, error) {
	return dialTarget(ctx, network, target{address, address})
}

// target is an address to dial, host:port, and the configured endpoint that it belongs to. The
// endpoint decides about the proxy, because NO_PROXY may list the name of the gateway.
type target struct{ endpoint, address string }

// dialTarget opens a connection to a target, through the proxy of its endpoint where there is one.
func dialTarget(ctx context.Context, network string, t target) (net.Conn, error) {
	proxy, err := ProxyFor(t.endpoint)
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return (&net.Dialer{}).DialContext(ctx, network, t.address)
	}
	conn, err := dialProxy(ctx, proxy)
	if err != nil {
		return nil, fmt.Errorf("connect to proxy %s: %w", proxy.Redacted(), err)
	}
	tunnel, err := openTunnel(ctx, conn, proxy, t.address)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("proxy %s: %w", proxy.Redacted(), err)
	}
	return tunnel, nil
}

// dialProxy connects to the proxy itself. For an https proxy it uses TLS with the CAs of the
// system.
func dialProxy(ctx context.Context, proxy *url.URL) (net.Conn, error) {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	}
	address := net.JoinHostPort(proxy.Hostname(), port)
	if proxy.Scheme == "https" {
		return (&tls.Dialer{}).DialContext(ctx, "tcp", address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

// openTunnel asks the proxy for a tunnel to the address (RFC 9110, section 9.3.6).
func openTunnel(ctx context.Context, conn net.Conn, proxy *url.URL, address string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		request.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := request.Write(conn); err != nil {
		return nil, fmt.Errorf("ask for a tunnel to %s: %w", address, err)
	}
	// A gateway sends nothing before the machine does, so all bytes belong to the proxy's answer.
	reader := bufio.NewReader(io.LimitReader(conn, maxProxyResponseBytes))
	response, err := http.ReadResponse(reader, request)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("ask for a tunnel to %s: %w", address, ctx.Err())
	case err != nil:
		return nil, fmt.Errorf("ask for a tunnel to %s: %w", address, err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it refuses a tunnel to %s with HTTP status %d", address, response.StatusCode)
	case reader.Buffered() > 0:
		return nil, fmt.Errorf("it sends bytes of its own into the tunnel to %s", address)
	}
	return conn, nil
}
