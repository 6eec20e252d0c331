package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
)

const (
	certManagerGroup   = "cert-manager.io"
	certManagerVersion = certManagerGroup + "/v1"
	// oldestCertManager is the oldest supported release. Certificates of 1.8 passed our checks too,
	// but no release before 1.12 was tested further.
	oldestCertManager = "1.12"
	// certManagerDefinition is the path of the CRD whose label names the release.
	certManagerDefinition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/certificaterequests." + certManagerGroup
	// releaseLabel is the label with the release on the CRDs of cert-manager's chart and of its
	// released manifests.
	releaseLabel = "app.kubernetes.io/version"
)

// certManagerResources are the resources that the controller and config/cert-manager create.
var certManagerResources = []string{"certificaterequests", "certificates", "issuers"}

// certManagerProblem returns the requirement of the controller that cert-manager does not meet, or
// nil.
func certManagerProblem(client discovery.DiscoveryInterface) error {
	served, err := client.ServerResourcesForGroupVersion(certManagerVersion)
	if apierrors.IsNotFound(err) {
		groups, err := client.ServerGroups()
		if err != nil {
			return fmt.Errorf("the API server did not return its resources: %w", err)
		}
		return certManagerMissingError(groups)
	}
	if err != nil {
		return fmt.Errorf("the API server did not return its resources: %w", err)
	}
	if missing := missingResources(served, certManagerResources); len(missing) > 0 {
		return fmt.Errorf("the cluster does not serve %s of %s, which issues the certificates of Mooring: install cert-manager %s or newer with all its CRDs",
			strings.Join(missing, ", "), certManagerVersion, oldestCertManager)
	}
	return releaseProblem(certManagerRelease(client))
}

// certManagerMissingError returns an error for a missing cert-manager, or for a release older than
// the API that we use.
func certManagerMissingError(groups *metav1.APIGroupList) error {
	for _, group := range groups.Groups {
		if group.Name != certManagerGroup {
			continue
		}
		var old []string
		for _, v := range group.Versions {
			old = append(old, v.GroupVersion)
		}
		return fmt.Errorf("cert-manager is too old: the cluster serves %s and not %s: update cert-manager to %s or newer",
			strings.Join(old, ", "), certManagerVersion, oldestCertManager)
	}
	return fmt.Errorf("the cluster does not serve %s, which issues the certificates of Mooring: install cert-manager %s or newer",
		certManagerVersion, oldestCertManager)
}

// certManagerRelease returns the release in the label of the CRD. It returns an empty string when
// the label or our right to read it is missing.
func certManagerRelease(client discovery.DiscoveryInterface) string {
	definition := &metav1.PartialObjectMetadata{}
	ctx, cancel := context.WithTimeout(context.Background(), preflightTimeout)
	defer cancel()
	raw, err := client.RESTClient().Get().AbsPath(certManagerDefinition).Do(ctx).Raw()
	if err != nil || json.Unmarshal(raw, definition) != nil {
		return ""
	}
	return definition.Labels[releaseLabel]
}

// releaseProblem rejects a release that is known to be too old. It accepts an unknown one.
func releaseProblem(release string) error {
	installed, err := version.ParseGeneric(release)
	if err == nil && installed.LessThan(version.MustParseGeneric(oldestCertManager)) {
		return fmt.Errorf("cert-manager %s is too old: update it to %s or newer", release, oldestCertManager)
	}
	return nil
}
