//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/hack/dev/poll"
	"github.com/mooring-dev/mooring/hack/dev/stack"
)

const (
	workerName = "worker.test"
	podCIDR    = "10.244.0.0/24"
)

// worker is a cluster with one Node: a kubelet, a container runtime, and the services through which
// pods reach each other by name and by Service. Nothing of it outlives the namespaces that
// hack/e2e.sh creates.
type worker struct {
	dir, logs string // of this run
	address   string // of the Node
	cluster   *controlplane.Cluster
	processes []*stack.Process // in the order they were started
}

func startWorker(ctx context.Context) (*worker, error) {
	w := &worker{dir: os.Getenv("E2E_DIR"), address: os.Getenv("E2E_ADDRESS")}
	if w.dir == "" || w.address == "" {
		return nil, errors.New("these tests need a machine of their own: run make e2e")
	}
	w.logs = filepath.Join(w.dir, "logs")
	if err := os.MkdirAll(w.logs, 0o700); err != nil {
		return nil, err
	}
	var err error
	if w.cluster, err = controlplane.Start(ctx, controlplane.Options{Own: true, Address: w.address}); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{
		w.writeFiles, w.startRuntime, w.importImages, w.startDNS, w.startNode, w.waitReady,
	} {
		if err := step(ctx); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

// close stops the processes in reverse order; containers end with the namespaces.
func (w *worker) close() {
	for i := len(w.processes) - 1; i >= 0; i-- {
		w.processes[i].Stop()
	}
	_ = w.cluster.Close()
}

func (w *worker) path(name string) string { return filepath.Join(w.dir, name) }

// kubeconfig writes the kubeconfig of a component of Kubernetes.
func (w *worker) kubeconfig(ctx context.Context, user string, groups ...string) (string, error) {
	path := w.path(strings.ReplaceAll(user, ":", "-") + ".kubeconfig")
	return path, w.cluster.WriteUserKubeconfig(ctx, path, user, groups...)
}

func (w *worker) start(name string, args ...string) error {
	program := name
	if name != "containerd" {
		program = w.cluster.Binary(filepath.Join("worker", name))
	}
	p, err := stack.StartProcess(name, w.logs, nil, append([]string{program}, args...)...)
	if err == nil {
		w.processes = append(w.processes, p)
	}
	return err
}

func (w *worker) startRuntime(ctx context.Context) error {
	if err := w.start("containerd", "--config", w.path("containerd.toml")); err != nil {
		return err
	}
	err := poll.UntilTrue(ctx, func() bool {
		return exec.CommandContext(ctx, "ctr", "version").Run() == nil
	})
	if err != nil {
		return fmt.Errorf("wait for containerd: %w\n%s", err, w.processes[0].Tail(10))
	}
	return nil
}

// importImages imports all image archives into the runtime; nothing is ever pulled.
func (w *worker) importImages(ctx context.Context) error {
	archives, err := filepath.Glob(w.path("images/*.tar"))
	if err != nil {
		return err
	}
	for _, archive := range archives {
		out, err := exec.CommandContext(ctx, "ctr", "-n", "k8s.io", "images", "import", archive).CombinedOutput()
		if err != nil {
			return fmt.Errorf("import %s: %w: %s", archive, err, out)
		}
	}
	return w.nameImages(ctx)
}

// nameImages tags images without a registry with the name under which the kubelet looks for them.
func (w *worker) nameImages(ctx context.Context) error {
	names, err := exec.CommandContext(ctx, "ctr", "-n", "k8s.io", "images", "ls", "-q").Output()
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	for _, name := range strings.Fields(string(names)) {
		if strings.Contains(name, "/") || strings.HasPrefix(name, "sha256:") {
			continue
		}
		out, err := exec.CommandContext(ctx, "ctr", "-n", "k8s.io", "images", "tag", name, "docker.io/library/"+name).CombinedOutput()
		if err != nil {
			return fmt.Errorf("name image %s: %w: %s", name, err, out)
		}
	}
	return nil
}

// startDNS starts CoreDNS on the Node's address, which is the DNS server of the pods.
func (w *worker) startDNS(ctx context.Context) error {
	if err := w.start("coredns", "-conf", w.path("Corefile")); err != nil {
		return err
	}
	return w.processes[len(w.processes)-1].WaitFor(ctx, "CoreDNS-")
}

func (w *worker) startNode(ctx context.Context) error {
	scheduler, err := w.kubeconfig(ctx, "system:kube-scheduler")
	if err != nil {
		return err
	}
	proxy, err := w.kubeconfig(ctx, "system:kube-proxy")
	if err != nil {
		return err
	}
	node, err := w.kubeconfig(ctx, "system:node:"+workerName, "system:nodes")
	if err != nil {
		return err
	}
	return errors.Join(
		w.start("kube-scheduler", "--kubeconfig", scheduler, "--authentication-kubeconfig", scheduler,
			"--authorization-kubeconfig", scheduler, "--leader-elect=false", "--bind-address=127.0.0.1"),
		w.start("kube-proxy", "--kubeconfig", proxy, "--hostname-override", workerName, "--proxy-mode=iptables",
			"--cluster-cidr", podCIDR, "--conntrack-max-per-core=0", "--conntrack-min=0",
			"--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"),
		w.start("kubelet", "--config", w.path("kubelet.yaml"), "--kubeconfig", node, "--root-dir", w.path("kubelet"),
			"--hostname-override", workerName, "--node-ip", w.address),
	)
}

// waitReady waits for the Node, and checks that no other process has ended.
func (w *worker) waitReady(ctx context.Context) error {
	_, err := stack.WaitObject(ctx, w.cluster.Client(), types.NamespacedName{Name: workerName}, &corev1.Node{}, "Ready", func(n *corev1.Node) bool {
		return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
	})
	for _, p := range w.processes {
		if err != nil || !p.Running() {
			err = errors.Join(err, fmt.Errorf("end of the log of %s:\n%s", p.Name, p.Tail(8)))
		}
	}
	return err
}
