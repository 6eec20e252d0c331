package kubeconfig

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func completeAccess() Access {
	return Access{
		Cluster: "local", Server: "https://127.0.0.1:6443", CAPEM: []byte("CA"),
		User: "alice", CertPEM: []byte("CERT"), KeyPEM: []byte("KEY"), Namespace: "fleet",
	}
}

func TestAKubeconfigHoldsEverythingItself(t *testing.T) {
	data, err := Render(completeAccess())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := yaml.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "alice@local",
		"clusters": []any{map[string]any{"name": "local", "cluster": map[string]any{
			"server": "https://127.0.0.1:6443", "certificate-authority-data": "Q0E=",
		}}},
		"users": []any{map[string]any{"name": "alice", "user": map[string]any{
			"client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ",
		}}},
		"contexts": []any{map[string]any{"name": "alice@local", "context": map[string]any{
			"cluster": "local", "user": "alice", "namespace": "fleet",
		}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRenderRefusesWhatCannotAuthenticate(t *testing.T) {
	cases := map[string]func(*Access){
		"no server":             func(a *Access) { a.Server = "" },
		"no user":               func(a *Access) { a.User = "" },
		"certificate, no key":   func(a *Access) { a.KeyPEM = nil },
		"certificate and token": func(a *Access) { a.Token = "t" },
		"nothing at all":        func(a *Access) { a.CertPEM, a.KeyPEM = nil, nil },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			access := completeAccess()
			change(&access)
			if data, err := Render(access); err == nil {
				t.Errorf("rendered %s", data)
			}
		})
	}
}

func TestAWrittenKubeconfigIsForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.kubeconfig")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o, want 600, also where a looser file was", info.Mode().Perm())
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
