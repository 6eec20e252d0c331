package link_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/transport/link"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

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
	proxy := fakegateway.StartProxy(t, map[string]string{"gateway.example:7444": echoServer(t)})
	t.Setenv("HTTPS_PROXY", "http://user:secret@"+proxy.Address)
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
	requests := proxy.TakeRequests()
	if want := "CONNECT gateway.example:7444 Basic dXNlcjpzZWNyZXQ="; len(requests) != 1 || requests[0] != want {
		t.Errorf("the proxy was asked %q, want %q", requests, want)
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
	refusing := fakegateway.StartProxy(t, nil)
	for name, c := range map[string]struct{ proxy, want string }{
		"refuses":      {"http://user:secret@" + refusing.Address, "refuses a tunnel to gateway.example:7444 with HTTP status 403"},
		"unreachable":  {"http://user:secret@127.0.0.1:1", "connect to proxy http://user:xxxxx@127.0.0.1:1"},
		"other scheme": {"socks5://user:secret@127.0.0.1:1", `scheme "socks5": only http and https`},
		"not a URL":    {"http://user:secret@[", "HTTPS_PROXY"},
		"with a path":  {"http://user:1/secret@127.0.0.1:1", "HTTPS_PROXY is not the URL of a proxy"},
		"with a query": {"http://user:1?secret@127.0.0.1:1", "HTTPS_PROXY is not the URL of a proxy"},
		"with a mark":  {"http://user:1#secret@127.0.0.1:1", "HTTPS_PROXY is not the URL of a proxy"},
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
