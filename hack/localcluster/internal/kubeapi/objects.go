package kubeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"
)

const (
	fieldManager = "localcluster"
	crdPath      = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
	waitPoll     = 50 * time.Millisecond
)

// EnsureNamespace creates the namespace unless it exists.
func (c *Client) EnsureNamespace(ctx context.Context, name string) error {
	body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, name)
	err := c.do(ctx, http.MethodPost, "/api/v1/namespaces", "application/json", []byte(body), nil)
	if hasCode(err, http.StatusConflict) {
		return nil
	}
	return err
}

// CRD is one CustomResourceDefinition, with the fields that are used here.
type CRD struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Group    string `json:"group"`
		Names    struct{ Plural string }
		Versions []struct {
			Name   string `json:"name"`
			Served bool   `json:"served"`
		} `json:"versions"`
	} `json:"spec"`
	Status struct {
		Conditions []struct{ Type, Status string }
	} `json:"status"`
}

// ApplyCRDs applies every YAML file of dir, one definition each, by server-side
// apply.
func (c *Client) ApplyCRDs(ctx context.Context, dir string) ([]CRD, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no CRDs in %s (%w): build again with localcluster build", dir, errors.Join(err, os.ErrNotExist))
	}
	var crds []CRD
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read CRD: %w", err)
		}
		var crd CRD
		if err := yaml.Unmarshal(data, &crd); err != nil || crd.Metadata.Name == "" {
			return nil, fmt.Errorf("%s is no CustomResourceDefinition (%w)", path, errors.Join(err, errors.ErrUnsupported))
		}
		url := crdPath + crd.Metadata.Name + "?force=true&fieldManager=" + fieldManager
		if err := c.do(ctx, http.MethodPatch, url, "application/apply-patch+yaml", data, nil); err != nil {
			return nil, fmt.Errorf("apply CRD: %w", err)
		}
		crds = append(crds, crd)
	}
	return crds, nil
}

// AwaitCRD waits until crd is Established and its resource can be listed: the first request for a
// new definition takes seconds.
func (c *Client) AwaitCRD(ctx context.Context, crd CRD) error {
	return Await(ctx, "CRD "+crd.Metadata.Name, func(ctx context.Context) error {
		var live CRD
		if err := c.Get(ctx, crdPath+crd.Metadata.Name, &live); err != nil {
			return err
		}
		for _, condition := range live.Status.Conditions {
			if condition.Type == "Established" && condition.Status == "True" {
				return c.Get(ctx, live.listPath(), nil)
			}
		}
		return errors.New("not Established yet")
	})
}

func (c CRD) listPath() string {
	for _, version := range c.Spec.Versions {
		if version.Served {
			return "/apis/" + c.Spec.Group + "/" + version.Name + "/" + c.Spec.Names.Plural + "?limit=1"
		}
	}
	return crdPath + c.Metadata.Name // it serves no version, so there is nothing to wait for
}

// RequestToken requests a token of a ServiceAccount. The token is bound to the account and becomes
// invalid with it.
func (c *Client) RequestToken(ctx context.Context, namespace, name string, duration time.Duration) (string, error) {
	body, err := json.Marshal(map[string]any{
		"apiVersion": "authentication.k8s.io/v1",
		"kind":       "TokenRequest",
		"spec":       map[string]any{"expirationSeconds": int64(duration / time.Second)},
	})
	if err != nil {
		return "", fmt.Errorf("encode token request: %w", err)
	}
	var answer struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	path := "/api/v1/namespaces/" + namespace + "/serviceaccounts/" + name + "/token"
	err = c.do(ctx, http.MethodPost, path, "application/json", body, &answer)
	if IsNotFound(err) {
		return "", fmt.Errorf("there is no ServiceAccount %q in namespace %q: create it first", name, namespace)
	}
	return answer.Status.Token, err
}

// Await calls check until it returns nil. At the end of ctx its error names the condition and the
// last error of check.
func Await(ctx context.Context, condition string, check func(context.Context) error) error {
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (last: %w)", condition, context.Cause(ctx), err)
		case <-time.After(waitPoll):
		}
	}
}
