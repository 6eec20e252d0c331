// Package config embeds the manifests of Mooring. A program can apply them, and can prove that a
// cluster runs the shipped objects.
package config

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Files contains the manifests of this directory.
//
//go:embed crd/bases/*.yaml rbac/*.yaml policy/*.yaml cert-manager/*.yaml
var Files embed.FS

// Directories for Objects, in the order in which they have to be applied.
const (
	DirCRD         = "crd/bases"
	DirRBAC        = "rbac"
	DirPolicy      = "policy"
	DirCertManager = "cert-manager"
)

// Objects returns the objects of one directory of Files, in the order of its kustomization, or of
// the file names if there is none. Namespaces come first.
func Objects(dir string) ([]*unstructured.Unstructured, error) {
	names, err := manifests(dir)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, name := range names {
		more, err := decode(name)
		if err != nil {
			return nil, fmt.Errorf("decode %s: %w", name, err)
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

// manifests lists the files of a directory: the files that its kustomization names, or all of them.
func manifests(dir string) ([]string, error) {
	data, err := Files.ReadFile(path.Join(dir, "kustomization.yaml"))
	if err != nil {
		names, err := fs.Glob(Files, path.Join(dir, "*.yaml"))
		if err != nil || len(names) == 0 {
			return nil, fmt.Errorf("no manifests in %q", dir)
		}
		return names, nil
	}
	var kustomization struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(data, &kustomization); err != nil {
		return nil, fmt.Errorf("read the kustomization of %q: %w", dir, err)
	}
	names := make([]string, 0, len(kustomization.Resources))
	for _, resource := range kustomization.Resources {
		names = append(names, path.Join(dir, resource))
	}
	return names, nil
}

// decode reads all documents of a file.
func decode(name string) ([]*unstructured.Unstructured, error) {
	file, err := Files.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		object := &unstructured.Unstructured{}
		switch err := decoder.Decode(&object.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, err
		case len(object.Object) > 0:
			objects = append(objects, object)
		}
	}
}
