package build

import (
	"fmt"
	"path/filepath"
)

// AssetsVariable names a folder with etcd, kube-apiserver and kubectl, as the envtest of
// controller-runtime does.
const AssetsVariable = "KUBEBUILDER_ASSETS"

// required are the programs that a folder of assets must contain.
var required = map[string]bool{"etcd": true, "kube-apiserver": true, "kubectl": true}

// Programs locates the programs of a cluster: in Assets if it contains them, otherwise in Built.
type Programs struct {
	Assets string // value of AssetsVariable; empty: everything is built
	Built  string // folder of the control plane variant
}

// Complete reports whether Assets contains everything, with cert-manager and its CRDs, so that
// nothing must be built. Such a folder comes from another build.
func (p Programs) Complete() bool {
	if p.Assets == "" {
		return false
	}
	for _, name := range ControlPlane.programs {
		if executable(filepath.Join(p.Assets, name)) != nil {
			return false
		}
	}
	return hasCRDs(filepath.Join(p.Assets, crdFolder))
}

// CRDs returns the folder of the CustomResourceDefinitions that belong to the cert-manager of Path.
func (p Programs) CRDs() string {
	if p.Complete() {
		return filepath.Join(p.Assets, crdFolder)
	}
	return filepath.Join(p.Built, crdFolder)
}

// Path returns the path of the named program.
func (p Programs) Path(name string) (string, error) {
	if p.Assets != "" {
		path := filepath.Join(p.Assets, name)
		err := executable(path)
		if err == nil {
			return path, nil
		}
		if required[name] {
			return "", fmt.Errorf("%s=%s has no usable %s (%w): unset it to build one", AssetsVariable, p.Assets, name, err)
		}
	}
	path := filepath.Join(p.Built, name)
	if err := executable(path); err != nil {
		return "", fmt.Errorf("no program for %s (%w): build it with localcluster build", name, err)
	}
	return path, nil
}
