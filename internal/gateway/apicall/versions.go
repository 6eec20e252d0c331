package apicall

import "k8s.io/apimachinery/pkg/util/resourceversion"

// IsNewerVersion reports whether resourceVersion a is later than b. For versions that cannot be
// compared it reports whether they differ: handling a state twice is harmless, missing a state is
// not.
func IsNewerVersion(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	if err != nil {
		return a != b
	}
	return order > 0
}
