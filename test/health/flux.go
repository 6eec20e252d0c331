package main

import (
	"context"
	"fmt"
	"os"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// fluxPatch is the type of config/gitops/flux/health.yaml, a patch of Flux's Kustomization.
type fluxPatch struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       struct {
		HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
	} `json:"spec"`
}

// readFlux reads the expressions of a patch, strictly, with Flux's own types.
func readFlux(path string) ([]kustomize.CustomHealthCheck, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var patch fluxPatch
	if err := yaml.UnmarshalStrict(text, &patch); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return patch.Spec.HealthCheckExprs, nil
}

// evaluateFlux evaluates the expressions for the kind of an object with Flux's own evaluator. It returns
// Current, InProgress or Failed.
func evaluateFlux(ctx context.Context, path string, object *unstructured.Unstructured) (string, error) {
	checks, err := readFlux(path)
	if err != nil {
		return "", err
	}
	for _, check := range checks {
		if check.APIVersion != object.GetAPIVersion() || check.Kind != object.GetKind() {
			continue
		}
		evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			return "", err
		}
		result, err := evaluator.Evaluate(ctx, object)
		if err != nil {
			return "", err
		}
		return result.Status.String(), nil
	}
	return "", fmt.Errorf("%s has no expressions for %s", path, object.GetKind())
}
