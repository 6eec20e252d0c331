package components

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/kubeapi"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
)

// Probes checks whether components are ready.
type Probes struct {
	API         *kubeapi.Client // as administrator
	etcd        *kubeapi.Client
	manager     *kubeapi.Client
	certManager string // URL
}

// NewProbes returns the clients; it connects to nothing yet.
func NewProbes(config state.Config, credentials *Credentials) (*Probes, error) {
	api, err := kubeapi.New(config.Server(), credentials.CAPEM, credentials.Admin)
	if err != nil {
		return nil, err
	}
	etcd, err := kubeapi.New("https://"+loopback(config.Ports.EtcdClient), credentials.EtcdCAPEM, credentials.EtcdPair)
	if err != nil {
		return nil, err
	}
	manager, err := kubeapi.New("https://"+loopback(config.Ports.ControllerManager), credentials.CAPEM, credentials.Admin)
	if err != nil {
		return nil, err
	}
	return &Probes{
		API: api, etcd: etcd, manager: manager,
		certManager: "http://" + loopback(config.Ports.CertManager) + "/readyz",
	}, nil
}

// Ready returns nil when the named component works.
func (p *Probes) Ready(ctx context.Context, name string) error {
	switch name {
	case Etcd:
		return p.etcdHealthy(ctx)
	case APIServer:
		return p.API.Get(ctx, "/readyz", nil)
	case ControllerManager:
		if err := p.manager.Get(ctx, "/healthz", nil); err != nil {
			return err
		}
		// Pods and tokens need this account, and its existence shows that the controllers run.
		return p.API.Get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
	case CertManager:
		return p.certManagerReady(ctx)
	}
	return fmt.Errorf("unknown component %q", name)
}

func (p *Probes) etcdHealthy(ctx context.Context) error {
	var answer struct{ Health string }
	if err := p.etcd.Get(ctx, "/health", &answer); err != nil {
		return err
	}
	if answer.Health != "true" {
		return errors.New("etcd reports that it is unhealthy")
	}
	return nil
}

func (p *Probes) certManagerReady(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.certManager, nil)
	if err != nil {
		return fmt.Errorf("probe cert-manager: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("probe cert-manager: %w", err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("cert-manager is not ready: %s", response.Status)
	}
	return nil
}
