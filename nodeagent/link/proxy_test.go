package link_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/link"
)

// proxyServer is an HTTP proxy. It tunnels every CONNECT to one address, or refuses it with a
// status.
type proxyServer struct {
	address  string
	mu       sync.Mutex
	requests []string
}

func startProxy(t *testing.T, target string, refuse int) *proxyServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxyServer{address: listener.Addr().String()}
	var connections sync.WaitGroup
	t.Cleanup(func() { listener.Close(); connections.Wait() })
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { p.serve(conn, target, refuse) })
		}
	})
	return p
}

func (p *proxyServer) serve(conn net.Conn, target string, refuse int) {
	defer conn.Close()
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	p.mu.Lock()
	p.requests = append(p.requests, request.Method+" "+request.Host+" "+request.Header.Get("Proxy-Authorization"))
	p.mu.Unlock()
	if refuse != 0 {
		fmt.Fprintf(conn, "HTTP/1.1 %d refused\r\nContent-Length: 0\r\n\r\n", refuse)
		return
	}
	upstream, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer upstream.Close()
	fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(upstream, conn); upstream.Close() }()
	_, _ = io.Copy(conn, upstream)
}

// echoServer starts a server that answers one line with the same line, and returns its address.
func echoServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			_, _ = io.WriteString(conn, line)
			conn.Close()
		}
	}()
	return listener.Addr().String()
}

func TestAGatewayIsReachedThroughTheProxyOfTheEnvironment(t *testing.T) {
	proxy := startProxy(t, echoServer(t), 0)
	t.Setenv("HTTPS_PROXY", "http://user:secret@"+proxy.address)
	t.Setenv("NO_PROXY", "direct.example")
	conn, err := link.DialTCP(t.Context(), "tcp", "gateway.example:7444")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("read %q, %v", line, err)
	}
	proxy.mu.Lock()
	defer proxy.mu.Unlock()
	if want := "CONNECT gateway.example:7444 Basic dXNlcjpzZWNyZXQ="; len(proxy.requests) != 1 || proxy.requests[0] != want {
		t.Errorf("the proxy was asked %q, want %q", proxy.requests, want)
	}
}

func TestWhichProxyIsUsed(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.example:3128")
	t.Setenv("NO_PROXY", "direct.example,10.0.0.0/8")
	for address, want := range map[string]string{
		"gateway.example:7443":  "http://proxy.example:3128",
		"direct.example:7443":   "",
		"a.direct.example:7443": "",
		"10.1.2.3:7443":         "",
		"127.0.0.1:7443":        "",
		"localhost:7443":        "",
	} {
		proxy, err := link.ProxyFor(address)
		got := ""
		if proxy != nil {
			got = proxy.String()
		}
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", address, got, err, want)
		}
	}
}

func TestAProxyThatDoesNotHelpIsNamedWithoutItsPassword(t *testing.T) {
	refusing := startProxy(t, "", http.StatusForbidden)
	for name, c := range map[string]struct{ proxy, want string }{
		"refuses":      {"http://user:secret@" + refusing.address, "refuses a tunnel to gateway.example:7444 with HTTP status 403"},
		"unreachable":  {"http://user:secret@127.0.0.1:1", "connect to proxy http://user:xxxxx@127.0.0.1:1"},
		"other scheme": {"socks5://user:secret@127.0.0.1:1", `scheme "socks5": only http and https`},
		"not a URL":    {"http://user:secret@[", "HTTPS_PROXY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HTTPS_PROXY", c.proxy)
			conn, err := link.DialTCP(t.Context(), "tcp", "gateway.example:7444")
			if err == nil {
				conn.Close()
				t.Fatal("want an error")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestAnEndlessAnswerOfAProxyIsBounded uses a proxy that sends headers without end. They must not
// fill the memory of the agent.
func TestAnEndlessAnswerOfAProxyIsBounded(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan int, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			sent <- 0
			return
		}
		defer conn.Close()
		total, _ := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		line := "X-Filler: " + strings.Repeat("x", 1000) + "\r\n"
		for total < 64<<20 {
			n, err := io.WriteString(conn, line)
			total += n
			if err != nil {
				break
			}
		}
		sent <- total
	}()
	t.Cleanup(func() { listener.Close() })
	t.Setenv("HTTPS_PROXY", "http://"+listener.Addr().String())
	if conn, err := link.DialTCP(t.Context(), "tcp", "gateway.example:7444"); err == nil {
		conn.Close()
		t.Error("want an error")
	}
	if total := <-sent; total >= 64<<20 {
		t.Errorf("the proxy sent %d bytes of headers", total)
	}
}
