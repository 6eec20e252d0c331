package threats_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// A Node that is deleted and created again under the same name belongs to the new machine alone.
func TestRecreatedNodeInheritsNothing(t *testing.T) {
	f := newFleet(t)
	old := f.connect(f.stealIdentity("kiosk"))
	live := old.openSession() // it has another journal, so a dispatch that was created earlier might count as lost
	queued := f.CreateDispatch("kiosk", "echo", map[string]any{"for": "the old one"})
	offered := live.awaitOffer() // the machine never answers it
	if err := system.Client.Delete(t.Context(), f.GetNode("kiosk")); err != nil {
		t.Fatal(err)
	}
	if end := live.AwaitEnd(); end.Code() != codes.PermissionDenied {
		t.Errorf("the live session ended with %v, want PermissionDenied", end.Err())
	}
	end := f.AwaitEnded(queued)
	if end.Status.Phase != v1alpha1.DispatchFailed || end.Status.Execution != v1alpha1.ExecutionUnknown {
		t.Errorf("the dispatch that was offered to the old machine ended %+v", end.Status)
	}
	f.Eventually("the Node to go", func() bool { return system.Client.Get(t.Context(), f.ObjectKey("kiosk"), &v1alpha1.Node{}) != nil })

	f.stealIdentityAs("kiosk", "successor")
	node := f.GetNode("kiosk")
	again := f.connect(old.Identity)
	again.checkCode(again.register(), codes.PermissionDenied)
	_, err := again.client.RotateDeviceCertificate(f.BoundedContext(), &gatewayv1.RotateDeviceCertificateRequest{Csr: f.csr(old.Key, old.ID)})
	again.checkCode(err, codes.PermissionDenied)
	if code := again.recoverCertificate(old.ID); code != codes.PermissionDenied {
		t.Errorf("RecoverCertificate: %v, want PermissionDenied", code)
	}
	s := f.connect(f.identityOf("successor")).openSession()
	mine := f.CreateDispatch("kiosk", "echo", map[string]any{"for": "the new one"})
	if got := s.awaitOffer(); got.GetUid() != string(mine.UID) || got.GetUid() == offered.GetUid() {
		t.Errorf("the new machine is offered %v, want only its own %s", got, mine.UID)
	}
	s.Report(forgedResult(offered)) // the new machine must not report it either
	s.awaitSettled()
	if after := testfleet.Read(f, end.DeepCopy()); after.Status.Output != nil || after.Status.Execution != v1alpha1.ExecutionUnknown {
		t.Errorf("the old dispatch became %+v", after.Status)
	}
	if after := f.GetNode("kiosk"); after.UID != node.UID || after.Spec.PublicKeySHA256 != node.Spec.PublicKeySHA256 {
		t.Errorf("the new Node changed: %+v", after.Spec)
	}
}

// Messages of a machine fill known fields of a status and nothing else of an object.
func TestUnknownFieldsOfMessagesReachNoObject(t *testing.T) {
	f := newFleet(t)
	m := f.connect(f.stealIdentity("hostile"))
	before := f.GetNode("hostile")
	smuggled := []byte{}
	for number := protowire.Number(100); number < 140; number++ {
		smuggled = protowire.AppendTag(smuggled, number, protowire.BytesType)
		smuggled = protowire.AppendString(smuggled, `{"metadata":{"finalizers":["mooring.dev/smuggled"],"labels":{"smuggled":"smuggled"}}}`)
	}
	register := &gatewayv1.RegisterNodeRequest{System: &gatewayv1.SystemInfo{Os: "linux"}, Capabilities: []*gatewayv1.Capability{{Name: "echo", Available: true}}}
	register.ProtoReflect().SetUnknown(smuggled)
	register.GetSystem().ProtoReflect().SetUnknown(smuggled)
	register.GetCapabilities()[0].ProtoReflect().SetUnknown(smuggled)
	hello := m.newHello()
	hello.ProtoReflect().SetUnknown(smuggled)
	s := m.openSessionWith(register, hello)
	d := f.CreateDispatch("hostile", "echo", map[string]any{})
	result := succeededResult(s.awaitOffer(), []byte(`1`))
	result.ProtoReflect().SetUnknown(smuggled)
	s.Report(result)
	s.awaitSettled()
	end := f.AwaitEnded(d)
	after := f.GetNode("hostile")
	for name, meta := range map[string]metav1.ObjectMeta{"dispatch": end.ObjectMeta, "node": after.ObjectMeta} {
		if len(meta.Labels) != 0 || len(meta.OwnerReferences) != 0 || len(meta.Annotations) != 0 {
			t.Errorf("%s has %+v", name, meta)
		}
	}
	if len(after.Finalizers) != len(before.Finalizers) || len(end.Finalizers) != 0 {
		t.Errorf("finalizers %v and %v", after.Finalizers, end.Finalizers)
	}
}
