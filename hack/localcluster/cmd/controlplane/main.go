// Command controlplane is a whole Kubernetes control plane in one file: etcd,
// kube-apiserver, kube-controller-manager, kubectl and cert-manager, and, built
// with the tag "worker", kube-scheduler, kubelet and kube-proxy.
//
// One link step costs minutes, so the programs share it. Like busybox, the file
// looks at the name it was started by: start it through a symlink named after a
// component, or name the component as the first argument.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// components maps a program name to its entry point, which reads os.Args itself
// and does not return on failure.
var components = map[string]func(){}

func main() {
	name := filepath.Base(os.Args[0])
	if run, ok := components[name]; ok {
		run()
		return
	}
	if len(os.Args) > 1 {
		if run, ok := components[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			run()
			return
		}
	}
	fmt.Fprintf(os.Stderr, "%s: start it through a symlink named after a component, or name one as the first argument: %s\n",
		name, strings.Join(known(), ", "))
	os.Exit(2)
}

func known() []string {
	names := make([]string, 0, len(components))
	for name := range components {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
