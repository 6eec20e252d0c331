package proof

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/policy"
	"github.com/mooring-dev/mooring/test/fakeproofs"
)

func TestACodeIsBelievedOnlyIfProofsCoverItsCreation(t *testing.T) {
	proofs := &fakeproofs.Proofs{Epoch: policy.Epoch{ID: "now", Since: start, Until: start.Add(time.Minute)}, OK: true}
	for name, test := range map[string]struct {
		created     time.Time
		refused, ok bool
	}{
		"before the Epoch":     {created: start.Add(-time.Second), refused: true},
		"in it":                {created: start, ok: true},
		"after the last proof": {created: start.Add(time.Hour)},
	} {
		code := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(test.created)}}
		refused, err := CheckCode(proofs, code)
		if (refused != nil) != test.refused || (err == nil && refused == nil) != test.ok {
			t.Errorf("%s: refused %v, %v", name, refused, err)
		}
	}
}
