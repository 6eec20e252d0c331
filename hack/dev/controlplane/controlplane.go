// Package controlplane starts a real control plane for the demo and for tests: etcd, kube-apiserver,
// kube-controller-manager and cert-manager, run by hack/localcluster. It installs Mooring in it and
// gives access to it.
package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// Options selects the kind of cluster that a test needs.
type Options struct {
	// Own prevents sharing, for tests that stop components or change the installed manifests.
	Own bool
	// Fsync makes etcd sync to disk, for crash tests.
	Fsync bool
	// Audit writes an audit log, see Cluster.AuditLog. It implies Own.
	Audit bool
	// Address is the address on which the apiserver listens and which it advertises, for pods;
	// default loopback. It requires Own.
	Address string
}

// Cluster is a running control plane.
type Cluster struct {
	root, state string
	ready       ready
	admin       *rest.Config
	client      client.Client
	process     *process // nil when the cluster is shared
}

// ready is the line that localcluster prints when every component is up.
type ready struct {
	Kubeconfig string `json:"kubeconfig"`
	State      string `json:"state"`
	Server     string `json:"server"`
	Audit      string `json:"audit"`
}

// Start returns the shared cluster, whose state directory MOORING_TEST_STATE names, or starts a new
// one, which ends with this process even when that is killed. The first start on a machine builds the
// control plane, which takes minutes; ctx bounds it.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	c := &Cluster{root: root}
	shared := os.Getenv("MOORING_TEST_STATE")
	if shared != "" && !options.Own && !options.Audit {
		c.state = shared
		c.ready = ready{Kubeconfig: filepath.Join(shared, "admin.kubeconfig"), State: shared}
	} else if err := c.startOwn(ctx, options); err != nil {
		return nil, err
	}
	if err := c.connect(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) startOwn(ctx context.Context, options Options) error {
	state, err := os.MkdirTemp("", "mooring-cluster-")
	if err != nil {
		return err
	}
	c.state = state
	args := []string{"up", "--foreground", "--until-stdin-closes", "--output", "json", "--state", state}
	if options.Fsync {
		args = append(args, "--fsync")
	}
	if options.Audit {
		args = append(args, "--audit")
	}
	if options.Address != "" {
		args = append(args, "--advertise-address", options.Address)
	}
	c.process, err = startProcess(c.command(context.WithoutCancel(ctx), args...))
	if err != nil {
		return errors.Join(err, os.RemoveAll(state))
	}
	line, err := c.process.firstLine(ctx)
	if err == nil {
		err = json.Unmarshal(line, &c.ready)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("start a cluster: %w", err), c.Close())
	}
	return nil
}

func (c *Cluster) connect() error {
	admin, err := clientcmd.BuildConfigFromFlags("", c.ready.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig of the cluster: %w", err)
	}
	admin.QPS, admin.Burst = 500, 1000
	c.admin = admin
	c.client, err = client.New(admin, client.Options{Scheme: Scheme()})
	return err
}

// Close stops the package's own cluster and removes its state; it leaves a shared cluster alone.
func (c *Cluster) Close() error {
	if c.process == nil {
		return nil
	}
	err := c.process.stop(time.Minute)
	return errors.Join(err, os.RemoveAll(c.state))
}

// Scheme returns a scheme with the kinds of Kubernetes and of Mooring.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // two kinds of one name: a mistake in the program
		}
	}
	return scheme
}

// Root returns the directory of the repository, found upwards from the current directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "hack", "localcluster", "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the current directory is not inside the repository: run the tests there")
		}
		dir = parent
	}
}

// Binary returns the path of a program of the control plane, such as kubectl.
func (c *Cluster) Binary(name string) string {
	return filepath.Join(BinaryFolder(c.root), name)
}

// BinaryFolder returns the folder of the programs that tests start: $MOORING_TEST_BIN, or the
// folder below root into which make builds. The variable lets a test run other builds of the
// product.
func BinaryFolder(root string) string {
	if folder := os.Getenv("MOORING_TEST_BIN"); folder != "" {
		return folder
	}
	return filepath.Join(root, ".local", "bin")
}

// command returns a command of localcluster: $LOCALCLUSTER, or the program in .local/bin.
func (c *Cluster) command(ctx context.Context, args ...string) *exec.Cmd {
	program := os.Getenv("LOCALCLUSTER")
	if program == "" {
		program = c.Binary("localcluster")
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = c.root
	return cmd
}
