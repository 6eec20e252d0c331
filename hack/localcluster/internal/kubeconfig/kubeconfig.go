// Package kubeconfig writes self-contained kubeconfig files: certificates, keys and tokens are
// inside, so that a file can be passed to any process.
package kubeconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// Access describes the access of one user to one cluster. Either the certificate and its key, or
// the token is set. Namespace is optional.
type Access struct {
	Cluster   string
	Server    string // https://HOST:PORT
	CAPEM     []byte
	User      string
	CertPEM   []byte
	KeyPEM    []byte
	Token     string
	Namespace string
}

// The types are the file format, with the fields that are used here. []byte is base64 in JSON,
// which is the encoding of the *-data fields.
type (
	file struct {
		APIVersion     string         `json:"apiVersion"`
		Kind           string         `json:"kind"`
		Clusters       []namedCluster `json:"clusters"`
		Users          []namedUser    `json:"users"`
		Contexts       []namedContext `json:"contexts"`
		CurrentContext string         `json:"current-context"`
	}
	namedCluster struct {
		Name    string  `json:"name"`
		Cluster cluster `json:"cluster"`
	}
	cluster struct {
		Server string `json:"server"`
		CA     []byte `json:"certificate-authority-data"`
	}
	namedUser struct {
		Name string `json:"name"`
		User user   `json:"user"`
	}
	user struct {
		Certificate []byte `json:"client-certificate-data,omitempty"`
		Key         []byte `json:"client-key-data,omitempty"`
		Token       string `json:"token,omitempty"`
	}
	namedContext struct {
		Name    string      `json:"name"`
		Context contextBody `json:"context"`
	}
	contextBody struct {
		Cluster   string `json:"cluster"`
		User      string `json:"user"`
		Namespace string `json:"namespace,omitempty"`
	}
)

// Render returns the kubeconfig as YAML, with one context named USER@CLUSTER.
func Render(access Access) ([]byte, error) {
	if access.Server == "" || access.Cluster == "" || access.User == "" {
		return nil, errors.New("render kubeconfig: cluster, server and user are required")
	}
	if hasPair := len(access.CertPEM) > 0 && len(access.KeyPEM) > 0; hasPair == (access.Token != "") {
		return nil, fmt.Errorf("render kubeconfig for %q: a certificate with its key, or a token, exactly one of them", access.User)
	}
	name := access.User + "@" + access.Cluster
	data, err := yaml.Marshal(file{
		APIVersion: "v1",
		Kind:       "Config",
		Clusters:   []namedCluster{{access.Cluster, cluster{access.Server, access.CAPEM}}},
		Users:      []namedUser{{access.User, user{access.CertPEM, access.KeyPEM, access.Token}}},
		Contexts: []namedContext{{name, contextBody{
			Cluster: access.Cluster, User: access.User, Namespace: access.Namespace,
		}}},
		CurrentContext: name,
	})
	if err != nil {
		return nil, fmt.Errorf("render kubeconfig for %q: %w", access.User, err)
	}
	return data, nil
}

// Write stores a rendered kubeconfig at path with mode 0600, atomically: a process that reads it
// meanwhile sees the old file or the new one.
func Write(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".kubeconfig-*") // created with 0600
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.Write(data)
	if err := errors.Join(err, temp.Close()); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}
