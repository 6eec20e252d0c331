package machine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// runMediate runs mooring-agent mediate, as the person at the machine does, and returns its output.
func (m *machine) runMediate(args ...string) string {
	m.Helper()
	out, err := system.Run(m.Context(), stack.Admin, append([]string{"mooring-agent", "mediate", "--identity-dir", system.IdentityDir(m.Namespace + "-" + m.node)}, args...)...)
	if err != nil {
		m.Fatal(err)
	}
	return out
}

func (m *machine) awaitAsked(d *v1alpha1.CapabilityDispatch) *v1alpha1.CapabilityDispatch {
	m.Helper()
	return testfleet.Await(m.fleet, d.Name, d, "AwaitingLocalMediation", func(d *v1alpha1.CapabilityDispatch) bool {
		return d.Status.Phase == v1alpha1.DispatchAwaitingLocalMediation && d.Status.Mediation != nil && d.Status.Mediation.AskedUser != "" && d.Status.Mediation.Since != nil
	})
}

const mediatedCapability = "argv: [/bin/echo, {parameter: text}]\ninputSchema: {type: object, properties: {text: {type: string}}}\nmediation: local"

func TestThePersonAtTheMachineDecides(t *testing.T) {
	m := newMachine(t, map[string]string{"own.asked": mediatedCapability})
	yes := m.awaitAsked(m.CreateDispatch(m.node, "own.asked", map[string]string{"text": "one two", "requestedBy": "somebody else"}))
	list := m.runMediate("list")
	for _, want := range []string{yes.Spec.RequestedBy + " asks to run own.asked", `/bin/echo \"one two\"`, yes.Namespace + "/" + yes.Name} {
		if !strings.Contains(list, strings.ReplaceAll(want, `\"`, `"`)) {
			t.Errorf("%q is not shown in %s", want, list)
		}
	}
	m.runMediate("allow", yes.Name)
	if s := m.AwaitEnded(yes).Status; s.Phase != v1alpha1.DispatchSucceeded || string(s.Output.Raw) != `"one two\n"` {
		t.Errorf("allowed: %+v", s)
	}
	no := m.awaitAsked(m.CreateDispatch(m.node, "own.asked", map[string]string{"text": "x"}))
	m.runMediate("deny", string(no.UID))
	if s := m.AwaitEnded(no).Status; s.Phase != v1alpha1.DispatchRejected || s.Execution != v1alpha1.ExecutionNotStarted || s.Error.Code != v1alpha1.ErrorMediationDenied {
		t.Errorf("denied: %+v", s)
	}
	// The next question gets no answer. The policy of the machine's user sets the timeout and the
	// runs that need no question; the agent reads it for every run.
	policy := "timeout: 1s\nrules:\n- {capability: own.asked, target: '/bin/echo fine < **', decision: allow}\n- {capability: echo, decision: deny}\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(m.folder), "mediation.yaml"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, d := range map[string]*v1alpha1.CapabilityDispatch{
		"Rejected MediationTimedOut": m.CreateDispatch(m.node, "own.asked", map[string]string{"text": "x"}),
		"Succeeded":                  m.CreateDispatch(m.node, "own.asked", map[string]string{"text": "fine"}),
		"Rejected MediationDenied":   m.CreateDispatch(m.node, "echo", map[string]any{}),
	} {
		s := m.AwaitEnded(d).Status
		got := string(s.Phase)
		if s.Error != nil {
			got += " " + s.Error.Code
		}
		if got != want {
			t.Errorf("%s, want %s: %+v", got, want, s)
		}
	}
}

// TestAQuestionOutlivesItsAgent kills or stops the agent while a person is asked. The restarted agent
// must ask again within the rest of the time, and the dispatch must run once.
func TestAQuestionOutlivesItsAgent(t *testing.T) {
	m := newMachine(t, map[string]string{"own.asked": mediatedCapability})
	d := m.awaitAsked(m.CreateDispatch(m.node, "own.asked", map[string]string{"text": "x"}))
	since, first := d.Status.Mediation.Since, m.awaitQuestion(d.Name)
	m.process.Kill()
	m.process = m.StartAgent(m.node)
	if again := m.awaitQuestion(d.Name); again != first {
		t.Errorf("asked again: %s, first %s", again, first)
	}
	m.process.Stop()
	m.process = m.StartAgent(m.node)
	m.awaitQuestion(d.Name)
	if s := m.awaitAsked(d).Status; s.Execution != "" || !s.Mediation.Since.Equal(since) {
		t.Errorf("while it is asked again: %+v", s)
	}
	m.runMediate("allow", d.Name)
	if s := m.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchSucceeded || s.Execution != v1alpha1.ExecutionFinished || string(s.Output.Raw) != `"x\n"` {
		t.Errorf("allowed after two restarts: %+v", s)
	}
	// A dispatch that is cancelled while the agent is down must not be asked again.
	d = m.awaitAsked(m.CreateDispatch(m.node, "own.asked", map[string]string{"text": "y"}))
	m.process.Kill()
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`))
	if err := system.Client.Patch(t.Context(), d, patch); err != nil {
		t.Fatal(err)
	}
	m.process = m.StartAgent(m.node)
	if s := m.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchCancelled {
		t.Errorf("cancelled meanwhile: %+v", s)
	}
	m.CheckEcho(m.node) // the agent is connected and has received the cancellation
	if list := m.runMediate("list"); !strings.Contains(list, "Nothing waits") {
		t.Errorf("the cancelled dispatch is asked again: %s", list)
	}
}

// awaitQuestion waits until a person is asked about a dispatch, and returns the text of the questions.
func (m *machine) awaitQuestion(name string) (shown string) {
	m.Helper()
	m.Eventually(name+" is asked", func() bool {
		out, err := system.Run(m.Context(), stack.Admin, "mooring-agent", "mediate", "--identity-dir", system.IdentityDir(m.Namespace+"-"+m.node), "list")
		shown = out
		return err == nil && strings.Contains(out, name)
	})
	return shown
}

// newDesktop pairs a machine with a screen. Its opener writes its arguments to the file record.
func newDesktop(t *testing.T) (m *machine, record string) {
	t.Helper()
	fake := t.TempDir()
	record = filepath.Join(fake, "record")
	script := "#!/bin/sh\nprintf '%s\\n' $# \"$@\" >" + record + ".new\nmv " + record + ".new " + record + "\n"
	if err := os.WriteFile(filepath.Join(fake, "xdg-open"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", fake+":"+os.Getenv("PATH"))
	t.Setenv("DISPLAY", ":7")
	return newMachine(t, nil), record
}

// TestAFileOfUnknownTypeIsOpenedOnlyAfterAWarning uses a rule that allows every path. The rule must
// apply only to files of types that are known to be harmless.
func TestAFileOfUnknownTypeIsOpenedOnlyAfterAWarning(t *testing.T) {
	m, record := newDesktop(t)
	policy := "rules: [{capability: desktop.open_path, target: '**', decision: allow}]\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(m.folder), "mediation.yaml"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(name string) *v1alpha1.CapabilityDispatch {
		path := filepath.Join(m.dir, name)
		if err := os.WriteFile(path, []byte("plain\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return m.CreateDispatch(m.node, "desktop.open_path", map[string]string{"path": path})
	}
	if s := m.AwaitEnded(open("notes.txt")).Status; s.Phase != v1alpha1.DispatchSucceeded {
		t.Errorf("a known type ended %+v", s)
	}
	d := m.awaitAsked(open("console.msc"))
	if list := m.runMediate("list"); !strings.Contains(list, "WARNING:  the agent does not know this type of file") {
		t.Errorf("the person sees %s", list)
	}
	m.runMediate("deny", d.Name)
	if s := m.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchRejected {
		t.Errorf("an unknown type ended %+v", s)
	}
	if s := m.AwaitEnded(open("a.exe.")).Status; s.Phase != v1alpha1.DispatchRejected || s.Error.Code != v1alpha1.ErrorInvalidInput {
		t.Errorf("a program ended %+v", s)
	}
	if content, err := os.ReadFile(record); err != nil || !strings.Contains(string(content), "notes.txt") {
		t.Errorf("the opener got %q, %v", content, err)
	}
}

func TestAURLIsOpenedByTheDesktopAsOneArgument(t *testing.T) {
	m, record := newDesktop(t)
	d := m.awaitAsked(m.CreateDispatch(m.node, "desktop.open_url", map[string]string{"url": "https://EXAMPLE.com/?q=$(id)&x=--flag"}))
	if list := m.runMediate("list"); !strings.Contains(list, "https://example.com/?q=$(id)&x=--flag") {
		t.Errorf("the person sees %s", list)
	}
	m.runMediate("allow", d.Name)
	if s := m.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchSucceeded {
		t.Fatalf("ended %+v", s)
	}
	if content, err := os.ReadFile(record); err != nil || string(content) != "1\nhttps://example.com/?q=$(id)&x=--flag\n" {
		t.Errorf("the opener got %q, %v", content, err)
	}
	for _, url := range []string{"http://example.com/", "javascript:alert(1)", "https://user@example.com/", "-x"} {
		if s := m.AwaitEnded(m.CreateDispatch(m.node, "desktop.open_url", map[string]string{"url": url})).Status; s.Phase != v1alpha1.DispatchRejected || s.Error.Code != v1alpha1.ErrorInvalidInput {
			t.Errorf("%s ended %+v", url, s)
		}
	}
}
