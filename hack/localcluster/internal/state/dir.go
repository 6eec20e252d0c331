// Package state manages the files that a local cluster keeps between runs: their paths, the
// assigned ports, and the locks that separate concurrent runs.
package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is the absolute path of a cluster's state directory.
type Dir string

// Open makes path absolute and creates the directory and its folders (0700).
func Open(path string) (Dir, error) {
	dir, err := Locate(path)
	if err != nil {
		return "", err
	}
	for _, folder := range []string{string(dir), dir.PKI(), dir.Logs()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return "", fmt.Errorf("create state directory: %w", err)
		}
	}
	// The directory contains the keys of an administrator. Others must not read it, even if it was
	// created before.
	if err := os.Chmod(string(dir), 0o700); err != nil {
		return "", fmt.Errorf("protect state directory: %w", err)
	}
	return dir, nil
}

// Locate makes path absolute and creates nothing.
func Locate(path string) (Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("locate state directory: %w", err)
	}
	return Dir(abs), nil
}

// Exists reports whether a cluster was ever started here.
func (d Dir) Exists() bool {
	_, err := os.Stat(d.ConfigFile())
	return err == nil
}

// Purge deletes the directory. It refuses a directory that is not the state of a cluster, so that a
// mistyped --state does no harm.
func (d Dir) Purge() error {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("purge state directory: %w", err)
	}
	if len(entries) > 0 && !d.Exists() {
		return fmt.Errorf("purge %s: it contains no cluster.json, so it is not the state of a cluster; delete it by hand if you are sure", d)
	}
	if err := os.RemoveAll(string(d)); err != nil {
		return fmt.Errorf("purge state directory: %w", err)
	}
	return nil
}

// PKI returns the folder of the authorities, certificates and keys.
func (d Dir) PKI() string { return filepath.Join(string(d), "pki") }

// Logs returns the folder of the logs: one per component, the supervisor's, and the audit log.
func (d Dir) Logs() string { return filepath.Join(string(d), "logs") }

// Log returns the log file of a component, or of "supervisor".
func (d Dir) Log(name string) string { return filepath.Join(d.Logs(), name+".log") }

// AuditLog returns the path of the audit log, which only a cluster with auditing writes.
func (d Dir) AuditLog() string { return filepath.Join(d.Logs(), "audit.log") }

// AuditPolicy returns the path of the apiserver's --audit-policy-file.
func (d Dir) AuditPolicy() string { return filepath.Join(string(d), "audit-policy.yaml") }

// Data returns etcd's data directory.
func (d Dir) Data() string { return filepath.Join(string(d), "etcd") }

// AdminKubeconfig returns the path of the administrator's kubeconfig.
func (d Dir) AdminKubeconfig() string { return d.Kubeconfig("admin") }

// Kubeconfig returns the path of the kubeconfig of the named component or of "admin".
func (d Dir) Kubeconfig(name string) string { return filepath.Join(string(d), name+".kubeconfig") }

// Cert returns the certificate file of a pair.
func (d Dir) Cert(name string) string { return filepath.Join(d.PKI(), name+".crt") }

// Key returns the private key file of the pair to which Cert belongs.
func (d Dir) Key(name string) string { return filepath.Join(d.PKI(), name+".key") }

// SigningKey returns the path of the key that signs ServiceAccount tokens.
func (d Dir) SigningKey() string { return filepath.Join(d.PKI(), "service-account.key") }

// ConfigFile returns the path of the stored Config.
func (d Dir) ConfigFile() string { return filepath.Join(string(d), "cluster.json") }

// SupervisorLock returns the path of the lock that a running supervisor holds.
func (d Dir) SupervisorLock() string { return filepath.Join(string(d), "supervisor.lock") }

// UpLock returns the path of the lock that a command holds while it starts or stops a cluster.
func (d Dir) UpLock() string { return filepath.Join(string(d), "up.lock") }
