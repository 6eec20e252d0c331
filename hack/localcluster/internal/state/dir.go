// Package state is what a local cluster keeps on disk between runs: where files
// are, the ports it was given, and the locks that keep two runs apart.
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
	// It holds the keys of an administrator: not for others, even if it was
	// made beforehand.
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

// Exists tells whether a cluster was ever brought up here.
func (d Dir) Exists() bool {
	_, err := os.Stat(d.ConfigFile())
	return err == nil
}

// Purge deletes the directory. It refuses one that holds something else than a
// cluster, so that a mistyped --state costs nothing.
func (d Dir) Purge() error {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("purge state directory: %w", err)
	}
	if len(entries) > 0 && !d.Exists() {
		return fmt.Errorf("purge %s: it holds no cluster.json, so it is no cluster's state; delete it by hand if you are sure", d)
	}
	if err := os.RemoveAll(string(d)); err != nil {
		return fmt.Errorf("purge state directory: %w", err)
	}
	return nil
}

// PKI holds the authorities, certificates and keys.
func (d Dir) PKI() string { return filepath.Join(string(d), "pki") }

// Logs holds one file per component, the supervisor's, and the audit log.
func (d Dir) Logs() string { return filepath.Join(string(d), "logs") }

// Log is the log file of a component, or of "supervisor".
func (d Dir) Log(name string) string { return filepath.Join(d.Logs(), name+".log") }

// AuditLog is written only by a cluster that was started with auditing.
func (d Dir) AuditLog() string { return filepath.Join(d.Logs(), "audit.log") }

// AuditPolicy is the apiserver's --audit-policy-file.
func (d Dir) AuditPolicy() string { return filepath.Join(string(d), "audit-policy.yaml") }

// Data is etcd's data directory.
func (d Dir) Data() string { return filepath.Join(string(d), "etcd") }

// AdminKubeconfig is the administrator's kubeconfig.
func (d Dir) AdminKubeconfig() string { return d.Kubeconfig("admin") }

// Kubeconfig is the kubeconfig of the named component or of "admin".
func (d Dir) Kubeconfig(name string) string { return filepath.Join(string(d), name+".kubeconfig") }

// Cert and Key are the files of a certificate pair.
func (d Dir) Cert(name string) string { return filepath.Join(d.PKI(), name+".crt") }

// Key is the private key file of the pair Cert belongs to.
func (d Dir) Key(name string) string { return filepath.Join(d.PKI(), name+".key") }

// SigningKey signs ServiceAccount tokens.
func (d Dir) SigningKey() string { return filepath.Join(d.PKI(), "service-account.key") }

// ConfigFile is the persisted Config.
func (d Dir) ConfigFile() string { return filepath.Join(string(d), "cluster.json") }

// SupervisorLock is held by a supervisor for as long as it lives.
func (d Dir) SupervisorLock() string { return filepath.Join(string(d), "supervisor.lock") }

// UpLock is held by a command that starts or stops a cluster.
func (d Dir) UpLock() string { return filepath.Join(string(d), "up.lock") }
