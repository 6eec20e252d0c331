package nodestatus

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// noon is the time at which the tests of this package begin.
var noon = metav1.NewTime(time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC))

func nodeAllowing(allow ...string) *v1alpha1.Node {
	return &v1alpha1.Node{Spec: v1alpha1.NodeSpec{CapabilityPolicy: v1alpha1.CapabilityPolicy{Allow: allow}}}
}

// unlimited grants every number of bytes.
func unlimited(int) bool { return true }
