package nodestatus

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

const (
	// maxInternedBytes bounds the shared texts, in bytes. The texts that most machines of a fleet
	// have in common take a few KiB.
	maxInternedBytes = 1 << 20
	// internOverhead is the approximate overhead of one stored text, in bytes.
	internOverhead = 64
)

// interner interns values that many Nodes have in common: it stores each value once.
type interner struct {
	mu      sync.Mutex
	bytes   int
	strings map[string]string
	schemas map[string]*v1alpha1.JSON
}

// TrimNode returns the transform that reduces Nodes before they enter the cache. It drops the
// fields that no gateway reads: annotations, which may be large, and the certificate request and
// most conditions, which belong to the controller. It clips the spare capacity of lists and
// shares the values that similar machines have in common.
func TrimNode() toolscache.TransformFunc {
	strip, shared := cache.TransformStripManagedFields(), &interner{}
	return func(obj any) (any, error) {
		obj, err := strip(obj)
		node, ok := obj.(*v1alpha1.Node)
		if err != nil || !ok {
			return obj, err
		}
		node.Annotations = nil
		node.Status.CertificateRequest, node.Status.CertificateHistory = nil, nil
		node.Status.Conditions = slices.Clone(slices.DeleteFunc(node.Status.Conditions, func(c metav1.Condition) bool { return !isSessionCondition(c.Type) }))
		node.Status.Capabilities = slices.Clone(node.Status.Capabilities)
		shared.internStatus(&node.Status)
		return node, nil
	}
}

// internStatus replaces the values of status by the stored copies of equal values.
func (t *interner) internStatus(status *v1alpha1.NodeStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.strings == nil || t.bytes > maxInternedBytes {
		// Machines that always send new values only prevent the others from sharing.
		t.bytes, t.strings, t.schemas = 0, map[string]string{}, map[string]*v1alpha1.JSON{}
	}
	shared := []*string{&status.Gateway, &status.TrustBundleSHA256}
	if s := status.System; s != nil {
		shared = append(shared, &s.OS, &s.Arch, &s.Platform, &s.KernelVersion, &s.OSImage, &s.AgentVersion)
	}
	for i := range status.Capabilities {
		c := &status.Capabilities[i]
		shared = append(shared, &c.Name, &c.Description, &c.Reason)
		c.InputSchema = t.internSchema(c.InputSchema)
	}
	for i := range status.Conditions {
		c := &status.Conditions[i]
		shared = append(shared, &c.Type, &c.Reason, &c.Message)
	}
	for _, s := range shared {
		*s = t.internText(*s)
	}
}

func (t *interner) internText(s string) string {
	known, ok := t.strings[s]
	if !ok {
		known, t.strings[s] = s, s
		t.bytes += len(s) + internOverhead
	}
	return known
}

func (t *interner) internSchema(s *v1alpha1.JSON) *v1alpha1.JSON {
	if s == nil {
		return nil
	}
	known, ok := t.schemas[string(s.Raw)]
	if !ok {
		known, t.schemas[string(s.Raw)] = s, s
		t.bytes += len(s.Raw) + internOverhead
	}
	return known
}

// ShareValues makes the facts of a session refer to equal values of the cached Node.
func (f *Facts) ShareValues(status *v1alpha1.NodeStatus) {
	if equality.Semantic.DeepEqual(f.Declared, status.Capabilities) {
		f.Declared = status.Capabilities
	}
	if equality.Semantic.DeepEqual(f.System, status.System) {
		f.System = status.System
	}
	if equality.Semantic.DeepEqual(f.Certificate, status.Certificate) {
		f.Certificate = status.Certificate
	}
}
