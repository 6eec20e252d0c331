package pairing

import (
	"fmt"
	"slices"
	"strings"
)

// MaxEndpoints is the maximum number of node listeners that a machine receives.
const MaxEndpoints = 16

// ParseEndpoints reads one or several host:port, separated by commas without spaces: the node
// listeners of several gateways. Each must satisfy CheckEndpoint, and none may occur twice.
func ParseEndpoints(list string) ([]string, error) {
	endpoints := strings.Split(list, ",")
	if len(endpoints) > MaxEndpoints {
		return nil, fmt.Errorf("%d endpoints, at most %d are taken", len(endpoints), MaxEndpoints)
	}
	for i, endpoint := range endpoints {
		if err := CheckEndpoint(endpoint); err != nil {
			return nil, err
		}
		if slices.Contains(endpoints[:i], endpoint) {
			return nil, fmt.Errorf("%s is listed twice", endpoint)
		}
	}
	return endpoints, nil
}
