package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

func TestACertManagerThatIsAbsentOrOldIsNamed(t *testing.T) {
	group := func(name string, versions ...string) metav1.APIGroup {
		g := metav1.APIGroup{Name: name}
		for _, v := range versions {
			g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
		}
		return g
	}
	for name, test := range map[string]struct {
		groups []metav1.APIGroup
		says   string
	}{
		"none":                {nil, "install cert-manager 1.12 or newer"},
		"only its ACME kinds": {[]metav1.APIGroup{group("acme.cert-manager.io", "v1")}, "install cert-manager 1.12 or newer"},
		"from before its v1":  {[]metav1.APIGroup{group("apps", "v1"), group("cert-manager.io", "v1beta1", "v1alpha2")}, "serves cert-manager.io/v1beta1, cert-manager.io/v1alpha2 and not cert-manager.io/v1: update"},
	} {
		if err := certManagerMissingError(&metav1.APIGroupList{Groups: test.groups}); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}

func TestAReleaseThatIsKnownToBeTooOldIsRefused(t *testing.T) {
	for release, old := range map[string]bool{
		"v1.11.5": true, "1.0.0": true, "v0.16.1": true, "v1.9.0-beta.1": true,
		"v1.12.0": false, "v1.21.2": false, "1.12": false, "v2.0.0": false, "v1.22.0-alpha.0": false,
		"": false, "latest": false,
	} {
		err := releaseProblem(release)
		if (err != nil) != old {
			t.Errorf("%q: %v, want too old: %v", release, err, old)
		}
		if err != nil && !strings.Contains(err.Error(), "update it to 1.12 or newer") {
			t.Errorf("%q: %v does not name the action to take", release, err)
		}
	}
}

// An error of the API server must not count as a missing cert-manager: people would install it
// needlessly.
func TestTroubleOfTheAPIServerIsNotAMissingCertManager(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer server.Close()
	client, err := discovery.NewDiscoveryClientForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := certManagerProblem(client); err == nil || strings.Contains(err.Error(), "install cert-manager") {
		t.Errorf("got %v", err)
	}
}
