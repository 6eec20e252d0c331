package plugin

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestASelectorJudgesTheLabelsThatPeopleGave(t *testing.T) {
	code := func(name string, given map[string]v1alpha1.NodeLabelValue) v1alpha1.PairingCode {
		return v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.PairingCodeSpec{NodeLabels: given}}
	}
	codes := []v1alpha1.PairingCode{
		code("b", map[string]v1alpha1.NodeLabelValue{"hall": "b", "line": "3"}), code("a", map[string]v1alpha1.NodeLabelValue{"hall": "a"}), code("plain", nil),
	}
	of := func(name, code string, left time.Duration) v1alpha1.PairingRequest {
		return *pendingRequest(name, func(r *v1alpha1.PairingRequest) {
			r.Spec.CodeName, r.Spec.ExpiresTime = code, metav1.NewTime(noon.Add(left))
			r.Labels = map[string]string{"hall": "b"} // set by any writer: it does not count
		})
	}
	requests := []v1alpha1.PairingRequest{of("late", "b", time.Hour), of("other", "a", time.Minute), of("soon", "b", time.Minute), of("bare", "plain", time.Second)}
	for selector, want := range map[string][]string{
		"hall=b":        {"soon", "late"},
		"hall=b,line=4": nil,
		"hall!=b":       {"bare", "other"},
		"":              {"bare", "other", "soon", "late"},
	} {
		parsed, err := selection{selector: selector}.parseSelector()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, matchRequests(requests, codes, parsed)); diff != "" {
			t.Errorf("%q -want +got:\n%s", selector, diff)
		}
	}
}
