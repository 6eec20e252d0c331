package components

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
)

func config() state.Config {
	return state.Config{Address: "127.0.0.1", Ports: state.Ports{
		EtcdClient: 2379, EtcdPeer: 2380, APIServer: 6443, ControllerManager: 10257, CertManager: 9402,
	}}
}

func TestArguments(t *testing.T) {
	fsync, audited, advertised := config(), config(), config()
	fsync.Fsync, audited.Audit, advertised.Address = true, true, "10.20.0.1"
	cases := []struct {
		name      string
		component string
		config    state.Config
		want      []string
		never     []string // prefixes
	}{
		{"etcd skips fsync unless asked", Etcd, config(), []string{"--unsafe-no-fsync", "--listen-client-urls=https://127.0.0.1:2379"}, nil},
		{"etcd syncs when asked", Etcd, fsync, nil, []string{"--unsafe-no-fsync"}},
		{"etcd trusts its own authority only", Etcd, config(), []string{"--client-cert-auth", "--trusted-ca-file=/s/pki/etcd-ca.crt"}, nil},
		{"apiserver stays on loopback", APIServer, config(),
			[]string{"--bind-address=127.0.0.1", "--secure-port=6443", "--endpoint-reconciler-type=none"}, []string{"--audit"}},
		{"apiserver authorizes", APIServer, config(), []string{"--authorization-mode=Node,RBAC"}, []string{"--anonymous-auth"}},
		{"apiserver audits when asked", APIServer, audited, []string{"--audit-log-path=/s/logs/audit.log"}, nil},
		{"apiserver is reached by workers", APIServer, advertised,
			[]string{"--bind-address=10.20.0.1", "--advertise-address=10.20.0.1"}, []string{"--endpoint-reconciler-type"}},
		{"controller manager runs all controllers", ControllerManager, config(), []string{"--leader-elect=false"}, []string{"--controllers"}},
		{"cert-manager has its own user", CertManager, config(), []string{"--kubeconfig=/s/cert-manager.kubeconfig", "--listen=127.0.0.1:9402"}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			args := Args(c.component, state.Dir("/s"), c.config)
			for _, want := range c.want {
				if !slices.Contains(args, want) {
					t.Errorf("no %s in %q", want, args)
				}
			}
			for _, never := range c.never {
				if slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, never) }) {
					t.Errorf("%s in %q", never, args)
				}
			}
		})
	}
}

// WriteCredentials must create every file that an argument names: a component reports a missing
// file only in its log.
func TestEveryFileThatAnArgumentNamesIsMade(t *testing.T) {
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config := config()
	config.Audit = true
	if _, err := WriteCredentials(dir, config, time.Now); err != nil {
		t.Fatal(err)
	}
	createdByComponents := []string{dir.Data(), dir.AuditLog()} // by the components
	for _, name := range Names() {
		for _, arg := range Args(name, dir, config) {
			_, value, _ := strings.Cut(arg, "=")
			if !strings.HasPrefix(value, string(dir)) || slices.Contains(createdByComponents, value) {
				continue
			}
			if _, err := os.Stat(value); err != nil {
				t.Errorf("%s %s: %v", name, arg, err)
			}
		}
	}
}

func TestEveryComponentHasAPort(t *testing.T) {
	for _, name := range Names() {
		if Port(name, config().Ports) == 0 {
			t.Errorf("%s has none", name)
		}
	}
}
