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
	// minimumMinor is the first Kubernetes 1.x in which MutatingAdmissionPolicy is GA and enabled.
	minimumMinor = 36
	// preflightInterval is the interval between checks of the cluster until it meets the
	// requirements.
	preflightInterval = 2 * time.Second
	// preflightTimeout bounds one request of a check.
	preflightTimeout = 10 * time.Second
)

// requiredResources are the resources that our CRDs must serve.
var requiredResources = []string{"nodes", "pairingcodes", "pairingrequests", "capabilitydispatches"}

// awaitCluster waits until the cluster meets the requirements of Mooring. Meanwhile the process is
// not ready and reports the reason. A person must repair the cluster, and a crash loop would only
// hide the reason. It returns an error when ctx ends. roleChecks are the requirements of one role.
func awaitCluster(ctx context.Context, config *rest.Config, readiness *probes, log logr.Logger, roleChecks ...func(discovery.DiscoveryInterface) error) error {
	bounded := rest.CopyConfig(config)
	bounded.Timeout = preflightTimeout
	client, err := discovery.NewDiscoveryClientForConfig(bounded)
	if err != nil {
		return fmt.Errorf("create a client of the cluster: %w", err)
	}
	readiness.set("cluster", fixedCheck(fmt.Errorf("the cluster has not been checked yet")))
	ticker := time.NewTicker(preflightInterval)
	defer ticker.Stop()
	for lastProblem := ""; ; {
		problem := clusterProblem(client)
		for i := 0; problem == nil && i < len(roleChecks); i++ {
			problem = roleChecks[i](client)
		}
		readiness.set("cluster", fixedCheck(problem))
		if problem == nil {
			return nil
		}
		if lastProblem != problem.Error() {
			lastProblem = problem.Error()
			log.Info("waiting for the cluster", "problem", lastProblem)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// clusterProblem returns the reason why Mooring cannot run in the cluster, or nil.
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
		return fmt.Errorf("the API server did not return its resources: %w", err)
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
	return nil // an unknown numbering is accepted
}

// missingResources returns the names in required that are not served. A nil list means that nothing
// is served.
func missingResources(served *metav1.APIResourceList, required []string) []string {
	var missing []string
	for _, name := range required {
		if served == nil || !slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Name == name }) {
			missing = append(missing, name)
		}
	}
	return missing
}
