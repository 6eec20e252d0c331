package plugin

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// runCommand runs a command line without a cluster, for tests of answers that need none.
func runCommand(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("KUBECONFIG", "/no/such/kubeconfig")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	var out, errOut bytes.Buffer
	code = Main(t.Context(), args, strings.NewReader(stdin), &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestEveryCommandHasHelpWithExamplesAndNeedsNoClusterForIt(t *testing.T) {
	root := newRoot(&tool{access: newClusterAccess(io.Discard), now: time.Now})
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			continue
		}
		t.Run(cmd.Name(), func(t *testing.T) {
			code, out, errOut := runCommand(t, "", cmd.Name(), "--help")
			if code != exitOK || errOut != "" {
				t.Fatalf("code %d, standard error %q", code, errOut)
			}
			for _, want := range []string{"  kubectl mooring " + cmd.Name(), "Examples:", "--namespace", "--output"} {
				if !strings.Contains(out, want) {
					t.Errorf("the help does not contain %q:\n%s", want, out)
				}
			}
			if strings.Contains(out, "kubectl-mooring "+cmd.Name()) {
				t.Errorf("the help shows the name of the file:\n%s", out)
			}
		})
	}
}

func TestWrongUsageEndsWithCode2AndTheWayOut(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"unknown command":           {[]string{"nods"}, "Did you mean: kubectl mooring nodes"},
		"unknown flag":              {[]string{"nodes", "--frob"}, "See: kubectl mooring nodes --help"},
		"unknown format":            {[]string{"nodes", "-o", "xml"}, "choose json or yaml"},
		"too many arguments":        {[]string{"nodes", "a", "b"}, "Usage: kubectl mooring nodes [NAME]"},
		"too few arguments":         {[]string{"invoke", "press-3"}, "Usage: kubectl mooring invoke NODE CAPABILITY"},
		"no name to approve":        {[]string{"approve"}, "Usage: kubectl mooring approve NAME..."},
		"approve without terminal":  {[]string{"approve", "x"}, "there is no terminal to ask on"},
		"two ways to choose":        {[]string{"approve", "x", "--all", "--yes"}, "in one way only"},
		"all, without terminal":     {[]string{"approve", "--all"}, "there is no terminal to ask on"},
		"a bad selector":            {[]string{"approve", "--selector", "a=b=c", "--yes"}, "write labels as --selector hall=b"},
		"a PIN that decides":        {[]string{"code", "--auto-approve"}, "--auto-approve needs --method QR"},
		"replace without a name":    {[]string{"code", "--replace"}, "--replace needs --name NODE"},
		"a picture of a PIN":        {[]string{"code", "--png", "x.png"}, "--png needs --method QR"},
		"force without a file":      {[]string{"code", "--method", "QR", "--force"}, "--force needs --png FILE"},
		"a grant of nothing":        {[]string{"grant", "press-3"}, "--capability NAME"},
		"a grant of a bad name":     {[]string{"grant", "press-3", "--capability", "Echo!"}, "nor a family of them"},
		"deny without reason":       {[]string{"deny", "x"}, "--reason TEXT"},
		"a strange method":          {[]string{"code", "--method", "NFC"}, "choose PIN or QR"},
		"a ttl that is too short":   {[]string{"code", "--ttl", "5s"}, "from 30s to 24h"},
		"a bad label":               {[]string{"code", "--label", "x"}, "must be formatted as key=value"},
		"input that is no object":   {[]string{"invoke", "press-3", "echo", "--input", "[]"}, "is an array, not an object"},
		"a bad capability":          {[]string{"invoke", "press-3", "Echo!"}, "not the name of a capability"},
		"another verb":              {[]string{"can-i", "delete", "echo"}, "kubectl auth can-i delete"},
		"a family for a capability": {[]string{"can-i", "invoke", "system.*"}, "not the name of a capability"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := runCommand(t, "", tc.args...)
			if code != exitUsage || out != "" || !strings.Contains(errOut, tc.want) {
				t.Errorf("code %d, standard output %q, standard error %q, want code 2 and %q", code, out, errOut, tc.want)
			}
		})
	}
}

func TestWithoutAnyKubeconfigThatIsWhatTheErrorSays(t *testing.T) {
	code, _, errOut := runCommand(t, "", "nodes", "--kubeconfig", "/no/such/kubeconfig")
	if code != exitGeneral || !strings.Contains(errOut, "/no/such/kubeconfig") {
		t.Errorf("code %d, standard error %q", code, errOut)
	}
}

func TestCompletionCompletesCommandsForKubectl(t *testing.T) {
	code, out, _ := runCommand(t, "", cobra.ShellCompNoDescRequestCmd, "pe")
	if code != exitOK || !strings.HasPrefix(out, "pending\n") {
		t.Errorf("code %d, got %q", code, out)
	}
	if _, out, _ := runCommand(t, "", "completion", "--help"); !strings.Contains(out, "kubectl_complete-mooring") {
		t.Errorf("the help of completion does not explain how to set up kubectl: %s", out)
	}
}

func TestADispatchCarriesTheFlags(t *testing.T) {
	o := invokeOptions{input: `{"a": 1}`, inputGiven: true, timeout: seconds{value: 5}, expiry: seconds{value: 60}, ttl: seconds{value: 0}}
	d, err := newDispatch(&fleet{namespace: "workshop"}, "press-3", "system.disk_io", o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.GenerateName != "press-3-system-disk-io-" || d.Namespace != "workshop" || string(d.Spec.Input.Raw) != `{"a":1}` ||
		d.Spec.TimeoutSeconds != 5 || d.Spec.ExpirySeconds != 60 || d.Spec.TTLSecondsAfterFinished == nil || *d.Spec.TTLSecondsAfterFinished != 0 {
		t.Errorf("got %+v", d)
	}
}

func TestOnlyANodeThatHoldsUpTheDispatchIsMentioned(t *testing.T) {
	o := invokeOptions{expiry: seconds{value: 3600}}
	for want, n := range map[string]*v1alpha1.Node{
		"": onlineNode("press-3"),
		`Node "press-3" is Offline for 3m: the dispatch waits for it (at most 1h, --expiry).`: onlineNode("press-3", func(n *v1alpha1.Node) {
			n.Status.Presence = v1alpha1.PresenceOffline
		}),
		`Node "press-3" is Suspended: nothing is delivered until it is Active again (at most 1h, --expiry).`: onlineNode("press-3", func(n *v1alpha1.Node) {
			n.Spec.DesiredState = v1alpha1.NodeSuspended
		}),
	} {
		if got := delayReason(n, o, noon); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
