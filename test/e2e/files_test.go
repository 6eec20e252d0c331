//go:build e2e

package e2e

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// The configuration of containerd, its networks, the kubelet and CoreDNS.
//
//go:embed testdata
var files embed.FS

// writeFiles fills the templates of testdata.
func (w *worker) writeFiles(context.Context) error {
	if err := os.MkdirAll(w.path("cni"), 0o700); err != nil {
		return err
	}
	values := map[string]string{
		"Dir": w.dir, "Cgroup": os.Getenv("E2E_CGROUP"), "Address": w.address, "PodCIDR": podCIDR,
		"State": w.cluster.State(), "Kubeconfig": w.cluster.Kubeconfig(),
	}
	for name, to := range map[string]string{
		"containerd.toml": "containerd.toml", "kubelet.yaml": "kubelet.yaml", "Corefile": "Corefile",
		"resolv.conf": "resolv.conf", "pods.conflist": "cni/10-pods.conflist",
	} {
		parsed, err := template.ParseFS(files, "testdata/"+name)
		if err != nil {
			return err
		}
		out, err := os.Create(filepath.Clean(w.path(to)))
		if err != nil {
			return err
		}
		err = parsed.Execute(out, values)
		if closed := out.Close(); err != nil || closed != nil {
			return fmt.Errorf("write %s: %w", to, err)
		}
	}
	return nil
}
