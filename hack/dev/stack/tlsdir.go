package stack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// mirrorSecret does the work of a kubelet for a Secret volume: it keeps dir/current equal to the
// Secret. Each version has its own folder behind a symlink that is swapped atomically. It returns
// when ctx ends.
func mirrorSecret(ctx context.Context, c client.Client, name types.NamespacedName, dir string, ready chan<- struct{}) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for {
		var secret corev1.Secret
		if err := c.Get(ctx, name, &secret); err == nil && len(secret.Data[corev1.TLSCertKey]) > 0 {
			if secret.ResourceVersion != last && writeVersion(dir, secret.Data) == nil {
				if last == "" {
					close(ready)
				}
				last = secret.ResourceVersion
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func writeVersion(dir string, data map[string][]byte) error {
	sum := sha256.Sum256(data[corev1.TLSCertKey])
	version := filepath.Join(dir, "..v-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(version, 0o700); err != nil {
		return fmt.Errorf("make version folder: %w", err)
	}
	for key, value := range data {
		if err := os.WriteFile(filepath.Join(version, key), value, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", key, err)
		}
	}
	next := filepath.Join(dir, "..next")
	_ = os.Remove(next)
	if err := os.Symlink(filepath.Base(version), next); err != nil {
		return fmt.Errorf("link new version: %w", err)
	}
	return os.Rename(next, filepath.Join(dir, "current"))
}
