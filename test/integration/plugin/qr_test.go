package plugin_test

import (
	"bytes"
	"image"
	_ "image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	qrcode "github.com/piglig/go-qr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

const uri = "mooring://pair?gateway=gw.example:7443&code=K7QX2M&secret=5d1f0c8ba37e42961c0d9f3b7a2e6458&ca=sha256:" + fingerprint

var qrSecret = map[string]string{v1alpha1.SecretKeyURI: uri, v1alpha1.SecretKeyAddress: "gw.example:7443"}

func TestAQRCodeIsDrawnWrittenAndSaid(t *testing.T) {
	ns := newFleet(t)
	file := filepath.Join(t.TempDir(), "code.png")
	p := start(t, ida, ns, nil, "code", "--method", "qr", "--png", file)
	code := completeCode(t, ns, qrSecret)
	p.wantExit(0, "██", "Pairing URI:   "+uri, "Picture:       "+file, "mooring-agent run --pair -\n")
	if code.Spec.Method != v1alpha1.PairingMethodQR || code.Spec.AutoApprove || code.Spec.ReplaceNode {
		t.Errorf("the spec is %+v", code.Spec)
	}
	if got := readQRPicture(t, file); got != uri {
		t.Errorf("the picture contains %q", got)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the picture is %v, error %v", info, err)
	}
	if strings.Contains(p.out.String(), "\x1b") {
		t.Error("colours were written into a pipe")
	}
}

func readQRPicture(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	picture, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	text, err := qrcode.Decode(picture)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAPictureThatCannotBeWrittenCostsNoCode(t *testing.T) {
	ns := newFleet(t)
	file := filepath.Join(t.TempDir(), "code.png")
	if err := os.WriteFile(file, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, ida, ns, "code", "--method", "QR", "--png", file).wantExit(2, "err:--force")
	run(t, ida, ns, "code", "--method", "QR", "--png", "/no/such/folder/x.png").wantExit(2, "err:/no/such/folder/x.png")
	var list v1alpha1.PairingCodeList
	if err := sharedCluster.Client().List(t.Context(), &list, client.InNamespace(ns)); err != nil || len(list.Items) != 0 {
		t.Errorf("%d codes were made, error %v", len(list.Items), err)
	}
	if kept, err := os.ReadFile(file); err != nil || string(kept) != "dear" {
		t.Errorf("the old file holds %q, error %v", kept, err)
	}
	// A refused code must not leave a file either.
	gone := filepath.Join(t.TempDir(), "code.png")
	run(t, ada, ns, "code", "--method", "QR", "--png", gone).wantExit(1, "err:ClusterRole mooring-pairing-issuer")
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("a file was left: %v", err)
	}
}

func TestACodeThatDecidesNeedsTheRightToApprove(t *testing.T) {
	ns := newFleet(t)
	for _, args := range [][]string{{"--method", "QR", "--auto-approve"}, {"--replace", "--name", "press-3"}} {
		run(t, ida, ns, append([]string{"code"}, args...)...).
			wantExit(1, `err:user "ida" may not approve`, "err:ask for the ClusterRole mooring-approver")
	}
	bindClusterRole(t, ns, "mooring-approver", ida)
	p := start(t, ida, ns, nil, "code", "--method", "QR", "--auto-approve", "--replace", "--name", "press-3", "-o", "json")
	code := completeCode(t, ns, qrSecret)
	p.wantExit(0)
	if !code.Spec.AutoApprove || !code.Spec.ReplaceNode || code.Spec.NodeName != "press-3" {
		t.Errorf("the spec is %+v", code.Spec)
	}
	var got struct {
		URI, Replaces, Command string
		AutoApprove            bool
	}
	p.decode(&got)
	if got.URI != uri || got.Replaces != "press-3" || !got.AutoApprove || got.Command != "mooring-agent run --pair -" {
		t.Errorf("got %+v", got)
	}
}

func TestAnApproverSeesThatANodeIsTakenOver(t *testing.T) {
	ns := newFleet(t)
	newNode(t, ns, "press-3", v1alpha1.PresenceOffline)
	create(t, &v1alpha1.PairingCode{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "code-r"},
		Spec:       v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeName: "press-3", ReplaceNode: true},
	})
	r := newRequest(t, ns, "r", func(s *v1alpha1.PairingRequestSpec) { s.CodeName = "code-r" })
	run(t, ada, ns, "approve", "r", "--yes", "--capability", "echo").wantExit(2, "err:which keeps its grant")
	wantDecided(t, false, r)
	run(t, ada, ns, "approve", "r", "--yes").wantExit(0, "err:It takes over node press-3 with its labels, policy (echo) and queue", `err:Approved pairing request "r" with echo.`)
	wantDecided(t, true, r)
}
