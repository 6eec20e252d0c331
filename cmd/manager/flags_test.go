package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"
)

func TestBadFlagsSayWhatToDo(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no role", nil, "--role is missing"},
		{"a role that is none", []string{"--role=both"}, "give --role=controller or --role=gateway"},
		{"an argument", []string{"--role=controller", "now"}, `unexpected argument "now"`},
		{"an unknown flag", []string{"--role=controller", "--speed=9"}, "not defined: -speed"},
		{"a log level that is none", []string{"--role=controller", "--log-level=loud"}, "log-level"},
		{"too short a time", []string{"--role=controller", "--stale-after=1ms"}, "--stale-after=1ms is too short: give at least 1s"},
		{"a certificate that ends before it is renewed", []string{"--role=controller", "--certificate-duration=1s"}, "--certificate-duration=1s is too short: give at least 30s"},
		{"a certificate that machines refuse", []string{"--role=controller", "--certificate-duration=9000h"}, "--certificate-duration=9000h0m0s is too long"},
		{"a negative retention", []string{"--role=controller", "--finished-retention=-1s"}, "--finished-retention=-1s is too short"},
		{"a Lease that cannot be renewed in time", []string{"--role=gateway", "--lease-duration=10ms"}, "--lease-duration=10ms is too short"},
		{"one connection for each machine", []string{"--role=gateway", "--max-connections-per-node=1"}, "must be at least 2"},
		{"no room for a request", []string{"--role=gateway", "--max-pending-requests=0"}, "--max-pending-requests must be at least 1"},
		{"no queue", []string{"--role=gateway", "--max-queued-per-node=0"}, "must be at least 1"},
		{"one namespace for two kinds of secrets", []string{"--role=controller", "--pairing-namespace=mooring-system"}, "must be set and differ"},
		{"copies over the bundles", []string{"--role=controller", "--trust-namespaces=agents,mooring-system"}, `"mooring-system" is not the name of another namespace`},
		{"a list with a blank", []string{"--role=controller", "--trust-namespaces=a, b"}, `" b" is not the name`},
		{"a URL for a trust domain", []string{"--role=controller", "--trust-domain=spiffe://x"}, "no trust domain"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseFlags(tt.args, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want it to contain %q", err, tt.want)
			}
		})
	}
}

func TestFlagsReachTheirRole(t *testing.T) {
	f, err := parseFlags([]string{"--role=gateway", "--metrics-bind-address=0", "--max-queued-per-node=7", "--dispatched-delay=1h", "--trust-domain=example.org"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if g := f.gateway; g.metricsBindAddress != "0" || g.maxQueuedPerNode != 7 || g.dispatchedDelay != time.Hour || g.trustDomain != "example.org" || g.pairingNamespace != "mooring-pairing" {
		t.Errorf("gateway configuration is %+v", g)
	}
	if f, err = parseFlags([]string{"--role=controller"}, &bytes.Buffer{}); err != nil || !f.controller.leaderElect || f.controller.staleAfter != 5*time.Minute || f.controller.deviceIssuer != "mooring-device-ca" {
		t.Errorf("controller configuration is %+v: %v", f.controller, err)
	}
}

func TestHelpNamesEveryFlagWithItsRole(t *testing.T) {
	var help bytes.Buffer
	if _, err := parseFlags([]string{"--help"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("error = %v", err)
	}
	for _, name := range []string{"-role", "-kubeconfig", "-stale-after", "-orphan-grace", "-tls-dir", "-advertise-node-endpoint"} {
		if !strings.Contains(help.String(), name+" ") {
			t.Errorf("--help does not mention %s", name)
		}
	}
}

func TestNoClusterIsAnErrorNotAGuess(t *testing.T) {
	t.Setenv("KUBECONFIG", "/nowhere")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	err := run(t.Context(), []string{"--role=controller"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "give --kubeconfig") {
		t.Errorf("error = %v", err)
	}
}
