package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestMistakesAreExplained(t *testing.T) {
	cases := []struct {
		args string
		want string
	}{
		{"up --output yaml", "text or json"},
		{"up --advertise-address example.org", "one IP address"},
		{"up --advertise-address 0.0.0.0", "one IP address"},
		{"up --timeout 0s", "above zero"},
		{"stop scheduler", "it is one of etcd"},
		{"stop etcd --signal HUP", "TERM or KILL"},
		{"stop etcd", "not running"},
		{"start", "accepts 1 arg"},
		{"status -o yaml", "text or json"},
		{"logs", "was a cluster ever started there"},
		{"logs -f", "needs a component"},
		{"logs nginx", "it is one of etcd"},
		{"logs etcd", "was it ever started"},
		{"kubeconfig", "localcluster up"},
		{"kubeconfig --group devs", "needs --user"},
		{"kubeconfig --user a --service-account b/c", "exclude each other"},
		{"kubeconfig --service-account b/c --duration 1m", "10m0s at least"},
		{"kubeconfig --user a --duration 1h", "needs --service-account"},
	}
	for _, c := range cases {
		t.Run(c.args, func(t *testing.T) {
			var out bytes.Buffer
			root := newRootCommand()
			root.SetArgs(append(strings.Fields(c.args), "--state="+t.TempDir()))
			root.SetOut(&out)
			root.SetErr(&out)
			err := root.ExecuteContext(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that contains %q", err, c.want)
			}
		})
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	for _, command := range newRootCommand().Commands() {
		if command.Long == "" || command.Example == "" {
			t.Errorf("%s: no long help, or no example", command.Name())
		}
	}
}
