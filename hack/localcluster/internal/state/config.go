package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
)

// Config holds the options of a cluster. Ports survive restarts, so that distributed kubeconfigs
// stay valid; the other fields are from the latest start.
type Config struct {
	Address string `json:"address"` // the only address on which the apiserver listens
	Ports   Ports  `json:"ports"`
	Fsync   bool   `json:"fsync"`
	Audit   bool   `json:"audit"`
}

// Ports are TCP ports, all on loopback except for APIServer, which is on Config.Address.
type Ports struct {
	EtcdClient        int `json:"etcdClient"`
	EtcdPeer          int `json:"etcdPeer"`
	APIServer         int `json:"apiServer"`
	ControllerManager int `json:"controllerManager"`
	CertManager       int `json:"certManager"`
}

// Loopback is the address of every component except the apiserver.
const Loopback = "127.0.0.1"

// Server returns the URL of the apiserver.
func (c Config) Server() string {
	return "https://" + net.JoinHostPort(c.Address, strconv.Itoa(c.Ports.APIServer))
}

// IsLoopback reports whether only processes of this network namespace can reach the apiserver.
func (c Config) IsLoopback() bool {
	ip := net.ParseIP(c.Address)
	return ip != nil && ip.IsLoopback()
}

// LoadConfig reads the stored Config; the zero Config when there is none.
func (d Dir) LoadConfig() (Config, error) {
	data, err := os.ReadFile(d.ConfigFile())
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("read cluster configuration: %w", err)
	}
	var config Config
	if err := json.Unmarshal(data, &config); err != nil {
		return Config{}, fmt.Errorf("read %s: %w: delete the cluster with localcluster down --purge", d.ConfigFile(), err)
	}
	return config, nil
}

// SaveConfig stores config atomically.
func (d Dir) SaveConfig(config Config) error {
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return fmt.Errorf("encode cluster configuration: %w", err)
	}
	temp := d.ConfigFile() + ".new"
	if err := os.WriteFile(temp, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("save cluster configuration: %w", err)
	}
	if err := os.Rename(temp, d.ConfigFile()); err != nil {
		return fmt.Errorf("save cluster configuration: %w", err)
	}
	return nil
}
