package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// The components that can be stopped.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	CertManager       = "cert-manager"
)

// StopComponent stops a component until StartComponent. It needs a cluster that is not shared.
func (c *Cluster) StopComponent(ctx context.Context, component string) error {
	return c.control(ctx, "stop", component)
}

// StartComponent starts a stopped component.
func (c *Cluster) StartComponent(ctx context.Context, component string) error {
	return c.control(ctx, "start", component)
}

// RestartComponent stops a component gracefully and starts it again.
func (c *Cluster) RestartComponent(ctx context.Context, component string) error {
	return c.control(ctx, "restart", component)
}

// CrashComponent kills a component with SIGKILL; the component is started again.
func (c *Cluster) CrashComponent(ctx context.Context, component string) error {
	return c.control(ctx, "restart", component, "--signal", "KILL")
}

// WaitReady waits until /readyz of the apiserver succeeds.
func (c *Cluster) WaitReady(ctx context.Context) error {
	set, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		return set.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil, nil
	})
}

// PIDs returns the process ids of the components, by name. It works only for a cluster that
// localcluster runs.
func (c *Cluster) PIDs(ctx context.Context) (map[string]int, error) {
	output, err := c.command(ctx, "status", "--state", c.state, "--output", "json").Output()
	if err != nil {
		return nil, fmt.Errorf("ask for the processes of the cluster: %w", err)
	}
	var status struct {
		Components []struct {
			Name string `json:"name"`
			PID  int    `json:"pid"`
		} `json:"components"`
	}
	if err := json.Unmarshal(output, &status); err != nil {
		return nil, fmt.Errorf("read the status of the cluster: %w", err)
	}
	pids := map[string]int{}
	for _, component := range status.Components {
		pids[component.Name] = component.PID
	}
	return pids, nil
}

func (c *Cluster) control(ctx context.Context, verb, component string, flags ...string) error {
	if c.process == nil {
		return errors.New("components of a shared cluster must not be stopped: start a cluster with Options.Own")
	}
	args := append([]string{verb, component, "--state", c.state}, flags...)
	if output, err := c.command(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", verb, component, err, output)
	}
	return nil
}
