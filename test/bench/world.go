package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/stack"
)

// memoryDir is where simulated machines keep their journals: their disk is not what is measured.
const memoryDir = "/dev/shm"

// world is the running system and a client of it without limits.
type world struct {
	*stack.Stack
	client  client.WithWatch
	api     *http.Client
	metrics string
	dir     string
}

func newWorld(ctx context.Context) (*world, error) {
	root, err := cluster.Root()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mooring-bench-")
	if err != nil {
		return nil, err
	}
	free, err := stack.FreeAddresses(1)
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, metrics: free[0]}
	w.Stack, err = stack.Start(ctx, stack.Options{Root: root, Dir: dir, Gateways: 1, Fsync: true,
		GatewayArgs: []string{"--metrics-bind-address", w.metrics}})
	if err != nil {
		return nil, err
	}
	access := w.Cluster.Admin()
	access.QPS = -1
	if w.client, err = client.NewWithWatch(access, client.Options{Scheme: cluster.Scheme()}); err == nil {
		w.api, err = rest.HTTPClientFor(access)
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) close() error {
	w.Close()
	return os.RemoveAll(w.dir)
}

// fleet makes so many agents and waits until all have a session.
func (w *world) fleet(ctx context.Context, agents int) (*sim.Fleet, error) {
	c, err := sim.NewClient(w.Cluster.Admin())
	if err != nil {
		return nil, err
	}
	f, err := sim.New(ctx, sim.Options{Client: c, Dir: memoryDir, PairingEndpoint: w.PairingEndpoint, NodeEndpoint: w.NodeEndpoint})
	if err != nil {
		return nil, err
	}
	err = f.Issue(ctx, agents, nil)
	if err == nil {
		err = f.Start(ctx, 100)
	}
	if err == nil {
		err = f.AwaitOnline(ctx, agents)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// page reads the metrics of a process.
func page(ctx context.Context, c *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// writes counts the API server's writes by resource, since it started.
func (w *world) writes(ctx context.Context) (map[string]float64, error) {
	text, err := page(ctx, w.api, strings.TrimRight(w.Cluster.Admin().Host, "/")+"/metrics")
	if err != nil {
		return nil, err
	}
	counts := map[string]float64{}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "apiserver_request_total{") {
			continue
		}
		switch label(line, "verb") {
		case "POST", "PUT", "PATCH", "APPLY", "DELETE":
			var value float64
			if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &value); err != nil {
				return nil, fmt.Errorf("read %q: %w", line, err)
			}
			resource := label(line, "resource")
			if sub := label(line, "subresource"); sub != "" {
				resource += "/" + sub
			}
			counts[resource] += value
		}
	}
	return counts, nil
}

func label(line, name string) string {
	_, rest, _ := strings.Cut(line, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// residentKiB is the resident memory of a process (proc(5)).
func residentKiB(pid int) (kib float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	_, err = fmt.Sscan(rest, &kib)
	return kib, err
}
