package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
)

// tokenRefresh is well below the hour for which a token is valid.
const tokenRefresh = 20 * time.Minute

// accountKubeconfig writes a kubeconfig of one of our ServiceAccounts. Its real token is in a file that is
// renewed as a kubelet would; client-go reads the file again by itself.
func (s *Stack) accountKubeconfig(name string) (string, error) {
	kubeconfig, token := filepath.Join(s.Dir, name+".kubeconfig"), filepath.Join(s.Dir, name+".token")
	if _, err := os.Stat(kubeconfig); err == nil {
		return kubeconfig, nil
	}
	if err := s.writeToken(s.backgroundCtx, name, token); err != nil {
		return "", err
	}
	if err := s.writeAccountKubeconfig(kubeconfig, token, s.Cluster.AdminConfig().Host); err != nil {
		return "", fmt.Errorf("write kubeconfig of %s: %w", name, err)
	}
	s.goroutines.Go(func() { s.renewToken(name, token) })
	return kubeconfig, nil
}

// GatewayKubeconfig writes a kubeconfig of the gateways' account that uses another address of the
// API server, HOST:PORT. A gateway must have been started before.
func (s *Stack) GatewayKubeconfig(path, address string) error {
	return s.writeAccountKubeconfig(path, filepath.Join(s.Dir, v1alpha1.GatewayServiceAccount+".token"), "https://"+address)
}

func (s *Stack) writeAccountKubeconfig(kubeconfig, token, server string) error {
	access := s.Cluster.UserConfig("")
	access.Host = server
	access.TLSClientConfig.CertData, access.TLSClientConfig.KeyData = nil, nil
	access.TLSClientConfig.CertFile, access.TLSClientConfig.KeyFile = "", ""
	access.BearerTokenFile = token
	return controlplane.WriteKubeconfig(kubeconfig, access)
}

func (s *Stack) renewToken(name, path string) {
	tick := time.NewTicker(tokenRefresh)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			// A failed renewal is repeated long before the token expires.
			_ = s.writeToken(s.backgroundCtx, name, path)
		case <-s.backgroundCtx.Done():
			return
		}
	}
}

func (s *Stack) writeToken(ctx context.Context, name, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	access, err := s.Cluster.ServiceAccountConfig(ctx, v1alpha1.SystemNamespace, name)
	if err != nil {
		return err
	}
	next := path + ".next"
	if err := os.WriteFile(next, []byte(access.BearerToken), 0o600); err != nil {
		return fmt.Errorf("write token of %s: %w", name, err)
	}
	return os.Rename(next, path)
}
