package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

func TestReadinessSaysEveryReasonInWords(t *testing.T) {
	p := newProbes()
	server := httptest.NewServer(p.handler())
	defer server.Close()
	ask := func(path string) (int, string) {
		t.Helper()
		answer, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	p.set("listeners", fixedCheck(errors.New("no certificate yet")))
	p.set("policies", fixedCheck(errors.New("not proven yet")))
	code, body := ask("/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "listeners: no certificate yet") || !strings.Contains(body, "policies: not proven yet") {
		t.Errorf("not ready: got %d %q, want 503 with both reasons", code, body)
	}
	if code, _ := ask("/healthz"); code != http.StatusOK {
		t.Errorf("healthz: got %d, want 200 while waiting", code)
	}
	p.set("listeners", fixedCheck(nil))
	p.set("policies", fixedCheck(nil))
	if err := (startMarker{p}).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, body := ask("/readyz"); code != http.StatusOK {
		t.Errorf("ready: got %d %q, want 200", code, body)
	}
}

// A process answers /readyz before any of its checks is set.
func TestProbesAreNotReadyUntilTheManagerHasStarted(t *testing.T) {
	p := newProbes()
	for _, step := range []string{"before any check", "with checks that pass"} {
		if err := p.check(); err == nil {
			t.Errorf("%s the process is ready", step)
		}
		p.set("cluster", fixedCheck(nil))
	}
	if err := (startMarker{p}).Start(t.Context()); err != nil || (startMarker{p}).NeedLeaderElection() {
		t.Errorf("the start of every replica: %v", err)
	}
	if err := p.check(); err != nil {
		t.Errorf("after the start: %v", err)
	}
}

// Neither role is ready while it starts, from the first response of its probes on.
func TestNoRoleIsReadyWhileItStarts(t *testing.T) {
	asked := make(chan struct{}, 100)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer api.Close()
	config := &rest.Config{Host: api.URL}
	for role, run := range map[string]func(ctx context.Context, probes string) error{
		roleController: func(ctx context.Context, probes string) error {
			return runController(ctx, config, controllerConfig{healthProbeBindAddress: probes})
		},
		roleGateway: func(ctx context.Context, probes string) error {
			return runGateway(ctx, config, gatewayConfig{healthProbeBindAddress: probes, tlsDir: "/tls", advertiseNodeEndpoint: "gw.example:7444"})
		},
	} {
		t.Run(role, func(t *testing.T) {
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := free.Addr().String()
			free.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- run(ctx, address) }()
			answers := 0
			for looked := false; !looked || answers == 0; {
				select {
				case <-asked:
					looked = true
				default:
				}
				answer, err := http.Get("http://" + address + "/readyz")
				if err != nil {
					continue // not listening yet
				}
				answer.Body.Close()
				if answers++; answer.StatusCode != http.StatusServiceUnavailable {
					t.Fatalf("answer %d is %s", answers, answer.Status)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestAnOccupiedProbePortIsAClearError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := newProbes().serve(taken.Addr().String()); err == nil || !strings.Contains(err.Error(), "--health-probe-bind-address") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
}

func TestATooOldClusterIsNamed(t *testing.T) {
	for _, test := range []struct {
		major, minor string
		old          bool
	}{{"1", "35", true}, {"1", "35+", true}, {"1", "36", false}, {"1", "37+", false}, {"2", "0", false}, {"1", "x", false}} {
		err := versionProblem(test.major, test.minor, "v"+test.major+"."+test.minor+".0")
		if (err != nil) != test.old {
			t.Errorf("%s.%s: got %v, want too old: %v", test.major, test.minor, err, test.old)
		}
		if err != nil && !strings.Contains(err.Error(), "needs 1.36 or newer") {
			t.Errorf("%s.%s: message %q does not name the action to take", test.major, test.minor, err)
		}
	}
}

func TestMissingKindsAreNamed(t *testing.T) {
	served := &metav1.APIResourceList{APIResources: []metav1.APIResource{{Name: "nodes"}, {Name: "nodes/status"}, {Name: "pairingcodes"}}}
	if got := strings.Join(missingResources(served, requiredResources), " "); got != "pairingrequests capabilitydispatches" {
		t.Errorf("missing %q", got)
	}
	if got := missingResources(nil, requiredResources); len(got) != len(requiredResources) {
		t.Errorf("of nothing served, missing %v", got)
	}
}

func TestAGatewayNamesTheFlagItLacks(t *testing.T) {
	whole := gatewayConfig{tlsDir: "/tls", advertiseNodeEndpoint: "gw.example:7444"}
	if err := whole.check(); err != nil {
		t.Errorf("a whole configuration: %v", err)
	}
	for flag, change := range map[string]func(*gatewayConfig){
		"--tls-dir":                 func(c *gatewayConfig) { c.tlsDir = "" },
		"--advertise-node-endpoint": func(c *gatewayConfig) { c.advertiseNodeEndpoint = "gw.example" },
	} {
		c := whole
		change(&c)
		if err := c.check(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("got %v, want an error that names %s", err, flag)
		}
	}
}
