package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

func TestARightCodeLeavesOnePairingRequest(t *testing.T) {
	g := newGateway(t)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	m := g.machine(t)
	answer, err := m.pair(t.Context(), code.Code)
	if err != nil {
		t.Fatal(err)
	}
	requests := code.requests(t)
	if len(requests) != 1 || requests[0].Name != answer.GetName() || answer.GetNamespace() != code.namespace {
		t.Fatalf("answer names %s/%s, the fleet has %d requests", answer.GetNamespace(), answer.GetName(), len(requests))
	}
	publicKey, err := identity.MarshalPublicKeyPEM(&m.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	got := requests[0].Spec
	want := v1alpha1.PairingRequestSpec{
		NodeName: "robot", PublicKey: string(publicKey), PublicKeySHA256: m.pin(), Method: v1alpha1.PairingMethodPIN,
		CodeName: code.object.Name, CodeIssuedBy: code.object.Spec.IssuedBy, VerificationCode: spake.VerificationCode(m.pin()),
		System:                &v1alpha1.SystemInfo{OS: "linux", Arch: "amd64", Platform: "debian", Hostname: "robot"},
		RequestedCapabilities: []string{"echo", "system.health"},
		TranscriptSHA256:      got.TranscriptSHA256, ExpiresTime: got.ExpiresTime,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if remaining := time.Until(got.ExpiresTime.Time); remaining < 59*time.Minute || remaining > 61*time.Minute {
		t.Errorf("the request ends in %s, want an hour", remaining)
	}
	record := code.record(t)
	if string(record[v1alpha1.RecordKeyConsumedBy]) != m.pin() || string(record[v1alpha1.RecordKeyRequestName]) != answer.GetName() || code.triesUsed(t) != 0 {
		t.Errorf("the record says consumedBy %q, requestName %q, %d tries used; want the key, the request, 0",
			record[v1alpha1.RecordKeyConsumedBy], record[v1alpha1.RecordKeyRequestName], code.triesUsed(t))
	}
}

func TestACodeMayFixTheName(t *testing.T) {
	g := newGateway(t)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{NodeName: "crane-7"})
	if _, err := g.machine(t).pair(t.Context(), code.Code); err != nil {
		t.Fatal(err)
	}
	if got := code.requests(t)[0].Spec.NodeName; got != "crane-7" {
		t.Errorf("the request is for %q, want the name of the code", got)
	}
}

func TestARetryOfTheSameKeyIsTheSameRequest(t *testing.T) {
	g := newGateway(t)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	m := g.machine(t)
	first, err := m.pair(t.Context(), code.Code)
	if err != nil {
		t.Fatal(err)
	}
	again := g.machineWith(t, m.key)
	again.nodeName = "another-wish"
	second, err := again.pair(t.Context(), code.Code)
	if err != nil {
		t.Fatal(err)
	}
	if first.GetName() != second.GetName() || len(code.requests(t)) != 1 {
		t.Errorf("the retry led to %s, the first try to %s (%d requests)", second.GetName(), first.GetName(), len(code.requests(t)))
	}
	if _, err := g.machine(t).pair(t.Context(), code.Code); status.Code(err) != codes.Unauthenticated {
		t.Errorf("another key with the used code: got %v, want Unauthenticated", err)
	}
}

func TestARetryAfterACrashBetweenConsumptionAndRequestMakesTheRequest(t *testing.T) {
	g := newGateway(t)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	m := g.machine(t)
	answer, err := m.pair(t.Context(), code.Code)
	if err != nil {
		t.Fatal(err)
	}
	request := &code.requests(t)[0]
	if err := shared.Client().Delete(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	second, err := g.machineWith(t, m.key).pair(t.Context(), code.Code)
	if err != nil {
		t.Fatal(err)
	}
	if second.GetName() != answer.GetName() || len(code.requests(t)) != 1 || code.requests(t)[0].Spec.NodeName != "robot" {
		t.Errorf("after the crash: %s, want %s", second.GetName(), answer.GetName())
	}
}

func TestANameOfAnotherKeyIsRefusedAndCostsNoTry(t *testing.T) {
	g := newGateway(t)
	namespace := shared.Namespace(t)
	node := func(name string, state v1alpha1.NodeDesiredState) {
		t.Helper()
		err := shared.Client().Create(t.Context(), &v1alpha1.Node{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       v1alpha1.NodeSpec{PublicKeySHA256: strings.Repeat("ab", 32), PairingRequestUID: "u", DesiredState: state},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	node("robot", v1alpha1.NodeActive)
	node("scrapped", v1alpha1.NodeRevoked)
	taken := issueCode(t, namespace, time.Minute, v1alpha1.PairingCodeSpec{})
	// The gateway's cache receives the Nodes a moment later.
	var err error
	g.awaitRefusal(t, taken, &err)
	if status.Code(err) != codes.AlreadyExists || !strings.Contains(err.Error(), v1alpha1.ReasonNameTaken) {
		t.Errorf("got %v, want AlreadyExists, NameTaken", err)
	}
	if used := taken.triesUsed(t); used != 0 || len(taken.record(t)[v1alpha1.RecordKeyConsumedBy]) != 0 {
		t.Errorf("%d tries used, consumed by %q; want nothing", used, taken.record(t)[v1alpha1.RecordKeyConsumedBy])
	}
	other := g.machine(t)
	other.nodeName = "robot-2"
	if _, err := other.pair(t.Context(), taken.Code); err != nil {
		t.Errorf("the same code with a free name: %v", err)
	}
	replace := issueCode(t, namespace, time.Minute, v1alpha1.PairingCodeSpec{NodeName: "robot", ReplaceNode: true})
	if _, err := g.machine(t).pair(t.Context(), replace.Code); err != nil {
		t.Errorf("a code with replaceNode: %v", err)
	}
	revoked := issueCode(t, namespace, time.Minute, v1alpha1.PairingCodeSpec{NodeName: "scrapped", ReplaceNode: true})
	if _, err := g.machine(t).pair(t.Context(), revoked.Code); status.Code(err) != codes.AlreadyExists {
		t.Errorf("replacing a revoked Node: got %v, want AlreadyExists", err)
	}
}

// awaitRefusal waits until the gateway's cache holds the Node of the requested name.
func (i *instance) awaitRefusal(t *testing.T, code issuedCode, last *error) {
	t.Helper()
	soon.True(t, "the gateway's cache to hold the Node", func() bool {
		requests := code.requests(t)
		for n := range requests { // of an attempt before the cache had the Node
			_ = shared.Client().Delete(t.Context(), &requests[n])
		}
		_, *last = i.machine(t).pair(t.Context(), code.Code)
		return *last != nil
	})
}

func TestTooManyUndecidedRequestsAreRefusedAndCostNoTry(t *testing.T) {
	g := newGateway(t, func(s *settings) { s.pairing.MaxPending = 0 })
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	_, err := g.machine(t).pair(t.Context(), code.Code)
	refused := status.Convert(err)
	var delay time.Duration
	for _, detail := range refused.Details() { // the other one proves that the code was verified
		if retry, ok := detail.(*errdetails.RetryInfo); ok {
			delay = retry.GetRetryDelay().AsDuration()
		}
	}
	if refused.Code() != codes.ResourceExhausted || delay <= 0 {
		t.Fatalf("got %v with details %v, want ResourceExhausted with RetryInfo", err, refused.Details())
	}
	if used := code.triesUsed(t); used != 0 || len(code.requests(t)) != 0 {
		t.Errorf("%d tries used, %d requests; want none", used, len(code.requests(t)))
	}
}

// One fleet fills its share and is refused. A request of the next fleet is still accepted.
func TestOneFleetCannotUseUpTheRoomOfOthers(t *testing.T) {
	var before v1alpha1.PairingRequestList
	if err := shared.Client().List(t.Context(), &before); err != nil {
		t.Fatal(err)
	}
	undecided := 0
	for i := range before.Items {
		if phase := before.Items[i].Status.Phase; phase == "" || phase == v1alpha1.PairingRequestPending {
			undecided++
		}
	}
	registry := prometheus.NewRegistry()
	g := newGateway(t, func(s *settings) { s.pairing.MaxPending, s.pairing.Registerer = undecided+4, registry })
	greedy, modest := shared.Namespace(t), shared.Namespace(t)
	soon.True(t, "the greedy fleet to be refused", func() bool { // once the gateway's cache has its requests
		_, err := g.machine(t).pair(t.Context(), issueCode(t, greedy, time.Minute, v1alpha1.PairingCodeSpec{}).Code)
		return status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "this fleet")
	})
	code := issueCode(t, modest, time.Minute, v1alpha1.PairingCodeSpec{})
	if _, err := g.machine(t).pair(t.Context(), code.Code); err != nil {
		t.Errorf("another fleet: %v", err)
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("metrics: %v, %v", families, err)
	}
	for _, m := range families[0].GetMetric() {
		if want := m.GetLabel()[0].GetValue() == "FleetFull"; want != (m.GetCounter().GetValue() > 0) {
			t.Errorf("%s is %v", m.GetLabel()[0].GetValue(), m.GetCounter().GetValue())
		}
	}
}

func TestBadInputIsNamed(t *testing.T) {
	g := newGateway(t)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	for _, test := range []struct {
		name   string
		change func(*gatewayv1.CompletePairingSessionRequest)
		want   codes.Code
		says   string
	}{
		{"no evidence", func(r *gatewayv1.CompletePairingSessionRequest) { r.Evidence = nil }, codes.InvalidArgument, "evidence"},
		{"a ServiceAccount token", func(r *gatewayv1.CompletePairingSessionRequest) {
			r.Evidence = &gatewayv1.CompletePairingSessionRequest_ServiceAccount{ServiceAccount: &gatewayv1.ServiceAccountToken{Token: "x"}}
		}, codes.PermissionDenied, "token is not valid"},
		{"a key that is none", func(r *gatewayv1.CompletePairingSessionRequest) { r.PublicKey = []byte("x") }, codes.InvalidArgument, "public_key"},
		{"a proof that is no signature", func(r *gatewayv1.CompletePairingSessionRequest) { r.Proof = []byte("x") }, codes.Unauthenticated, "proof"},
		{"a name that is no label", func(r *gatewayv1.CompletePairingSessionRequest) { r.NodeName = "Robot_1" }, codes.InvalidArgument, "DNS label"},
		{"another name than before", func(r *gatewayv1.CompletePairingSessionRequest) { r.NodeName = "robot-2" }, codes.InvalidArgument, "differs"},
		{"a capability that is none", func(r *gatewayv1.CompletePairingSessionRequest) { r.RequestedCapabilities = []string{"Rm -rf"} }, codes.InvalidArgument, "requested_capabilities"},
		{"a wildcard capability", func(r *gatewayv1.CompletePairingSessionRequest) { r.RequestedCapabilities = []string{"system.*"} }, codes.InvalidArgument, "requested_capabilities"},
		{"too many capabilities", func(r *gatewayv1.CompletePairingSessionRequest) { r.RequestedCapabilities = make([]string, 65) }, codes.InvalidArgument, "65 entries"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := g.machine(t)
			e, err := m.startExchange(t.Context(), code.Code)
			if err != nil {
				t.Fatal(err)
			}
			test.change(e.request)
			_, err = m.client.CompletePairingSession(t.Context(), e.request)
			if status.Code(err) != test.want || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %s saying %q", err, test.want, test.says)
			}
		})
	}
	if used := code.triesUsed(t); used != 0 {
		t.Errorf("bad input used %d tries", used)
	}
}

func TestTextsOfStrangersAreMadePresentable(t *testing.T) {
	g := newGateway(t)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	m := g.machine(t)
	e, err := m.startExchange(t.Context(), code.Code)
	if err != nil {
		t.Fatal(err)
	}
	e.request.System = &gatewayv1.SystemInfo{
		Hostname: "evil\x1b[2J\n\u202ehost", OsImage: strings.Repeat("ü", 1000), AgentVersion: "v1",
	}
	if _, err := m.client.CompletePairingSession(t.Context(), e.request); err != nil {
		t.Fatal(err)
	}
	got := code.requests(t)[0].Spec.System
	want := &v1alpha1.SystemInfo{Hostname: "evil\uFFFD[2J \uFFFDhost", OSImage: strings.Repeat("ü", 128), AgentVersion: "v1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("system (-want +got):\n%s", diff)
	}
}
