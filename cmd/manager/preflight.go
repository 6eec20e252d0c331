package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

const (
	// minimumMinor is the first Kubernetes 1.x whose MutatingAdmissionPolicy is on and GA.
	minimumMinor = 36
	// preflightEvery is how often the cluster is looked at until it is fit.
	preflightEvery = 2 * time.Second
	// preflightTimeout bounds one look.
	preflightTimeout = 10 * time.Second
)

// requiredResources are what our CRDs serve.
var requiredResources = []string{"nodes", "pairingcodes", "pairingrequests", "capabilitydispatches"}

// awaitCluster waits, not ready and saying why, until the cluster can carry Mooring:
// what is missing there is mended by people, and a crash loop would only hide it. It
// errs when ctx ends. more are needs of one role.
func awaitCluster(ctx context.Context, config *rest.Config, ready *probes, log logr.Logger, more ...func(discovery.DiscoveryInterface) error) error {
	bounded := rest.CopyConfig(config)
	bounded.Timeout = preflightTimeout
	client, err := discovery.NewDiscoveryClientForConfig(bounded)
	if err != nil {
		return fmt.Errorf("make a client of the cluster: %w", err)
	}
	ready.set("cluster", notReady(fmt.Errorf("the cluster has not been looked at yet")))
	ticker := time.NewTicker(preflightEvery)
	defer ticker.Stop()
	for said := ""; ; {
		problem := clusterProblem(client)
		for i := 0; problem == nil && i < len(more); i++ {
			problem = more[i](client)
		}
		ready.set("cluster", notReady(problem))
		if problem == nil {
			return nil
		}
		if said != problem.Error() {
			said = problem.Error()
			log.Info("waiting for the cluster", "problem", said)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// clusterProblem is what keeps Mooring from running in the cluster, or nil.
func clusterProblem(client discovery.DiscoveryInterface) error {
	version, err := client.ServerVersion()
	if err != nil {
		return fmt.Errorf("the API server does not answer: %w", err)
	}
	if problem := versionProblem(version.Major, version.Minor, version.GitVersion); problem != nil {
		return problem
	}
	served, err := client.ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("the API server does not say what it serves: %w", err)
	}
	if missing := missingResources(served, requiredResources); len(missing) > 0 {
		return fmt.Errorf("the cluster does not serve %s of %s: apply config/crd first", strings.Join(missing, ", "), v1alpha1.GroupVersion)
	}
	return nil
}

func versionProblem(major, minor, full string) error {
	number, err := strconv.Atoi(strings.TrimRight(minor, "+"))
	if err == nil && major == "1" && number < minimumMinor {
		return fmt.Errorf("the cluster is Kubernetes %s; Mooring needs 1.%d or newer, which has the admission policies it relies on", full, minimumMinor)
	}
	return nil // an unknown numbering is given the benefit of the doubt
}

// missingResources are those of required that are not served; nil is nothing served.
func missingResources(served *metav1.APIResourceList, required []string) []string {
	var missing []string
	for _, name := range required {
		if served == nil || !slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Name == name }) {
			missing = append(missing, name)
		}
	}
	return missing
}
