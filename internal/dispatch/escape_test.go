package dispatch

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestAnInputIsCountedWithoutTheEscapesOfTheAPIServer(t *testing.T) {
	for name, c := range map[string]struct {
		bytes int
		want  VerdictKind
	}{
		"100 KB":          {100_000, VerdictOffer},
		"a byte too long": {MaxInputBytes + 1, VerdictSettle},
	} {
		escaped, err := json.Marshal(map[string]string{"x": strings.Repeat("<", c.bytes-len(`{"x":""}`))})
		if err != nil {
			t.Fatal(err)
		}
		d := queuedEcho()
		d.Spec.Input = &v1alpha1.JSON{Raw: escaped}
		if got := Admit(d, node(), declaredEcho, after(1)); got.Kind != c.want {
			t.Errorf("%s: %v %+v, want %v", name, got.Kind, got.Status.Error, c.want)
		}
	}
}

func TestNumbersThatTheAPIServerRoundsAreRefusedInAndOut(t *testing.T) {
	for _, number := range []string{"18446744073709551615", "18446744073709552000", "-9223372036854775809"} {
		d := queuedEcho()
		d.Spec.Input = &v1alpha1.JSON{Raw: []byte(`{"n":` + number + `}`)}
		if got := Admit(d, node(), declaredEcho, after(1)); got.Kind != VerdictSettle || got.Status.Error.Code != v1alpha1.ErrorInvalidInput || !strings.Contains(got.Status.Error.Message, number) {
			t.Errorf("input %s: %+v", number, got.Status)
		}
	}
	for number, phase := range map[string]v1alpha1.DispatchPhase{
		"18446744073709551615": v1alpha1.DispatchFailed, "9223372036854775807": v1alpha1.DispatchSucceeded, "1e20": v1alpha1.DispatchSucceeded,
	} {
		got, _ := Settle(queuedEcho().Status, Result{Outcome: "Succeeded", Execution: "Finished", Output: []byte(`[` + number + `]`)}, "gw", after(1))
		if got.Phase != phase {
			t.Errorf("output %s: %s %+v", number, got.Phase, got.Error)
		}
	}
}
