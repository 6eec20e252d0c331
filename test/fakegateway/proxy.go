package fakegateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Proxy is an HTTP proxy on loopback. It opens tunnels to the addresses of its routes only.
type Proxy struct {
	// Address is host:port of the proxy.
	Address string

	mu       sync.Mutex
	routes   map[string]string
	requests []string
}

// StartProxy starts a proxy that runs until the test ends. routes maps the host:port of a CONNECT
// request to the address that the proxy dials for it; any other request is refused with status 403.
// The agent never uses a proxy for a loopback address, so a test gives the agent another name.
func StartProxy(t testing.TB, routes map[string]string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Address: listener.Addr().String(), routes: routes}
	var connections sync.WaitGroup
	t.Cleanup(func() { listener.Close(); connections.Wait() })
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { p.serveConn(conn) })
		}
	})
	return p
}

// TakeRequests returns the requests since the last call: method, target and Proxy-Authorization.
func (p *Proxy) TakeRequests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	requests := p.requests
	p.requests = nil
	return requests
}

func (p *Proxy) serveConn(conn net.Conn) {
	defer conn.Close()
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	p.mu.Lock()
	p.requests = append(p.requests, request.Method+" "+request.Host+" "+request.Header.Get("Proxy-Authorization"))
	route := p.routes[request.Host]
	p.mu.Unlock()
	if request.Method != http.MethodConnect || route == "" {
		fmt.Fprintf(conn, "HTTP/1.1 %d refused\r\nContent-Length: 0\r\n\r\n", http.StatusForbidden)
		return
	}
	upstream, err := net.Dial("tcp", route)
	if err != nil {
		return
	}
	defer upstream.Close()
	fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n")
	var copied sync.WaitGroup
	copied.Go(func() { _, _ = io.Copy(upstream, conn); upstream.Close() })
	_, _ = io.Copy(conn, upstream)
	conn.Close()
	copied.Wait()
}
