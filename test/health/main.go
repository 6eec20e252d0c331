// Command health prints the health that Argo CD and Flux derive from an object of Mooring. It reads
// the object as JSON from standard input and evaluates the files of config/gitops with the engines
// of Argo CD and Flux. It prints one line for each of them.
//
//	kubectl get cdisp NAME -o json | health config/gitops
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: health DIR <object.json")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(text); err != nil {
		return fmt.Errorf("read the object: %w", err)
	}
	argo, err := evaluateArgoCD(ctx, scriptPath(dir, object.GetKind()), object)
	if err != nil {
		return err
	}
	status, err := evaluateFlux(ctx, filepath.Join(dir, "flux", "health.yaml"), object)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "argocd %s: %s\nflux %s\n", argo.Status, argo.Message, status)
	return err
}

// scriptPath returns the path of Argo CD's health script for a kind.
func scriptPath(dir, kind string) string {
	return filepath.Join(dir, "argocd", strings.ToLower(kind)+".lua")
}
