package machine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// machine is a paired Node with its own capability files.
type machine struct {
	*fleet
	// dir is the folder for files that programs write; folder holds the capability files.
	dir, folder, node string
	process           *stack.Process
}

// newMachine pairs a machine with capability files. A program is the rest of a capability file after
// name and description; {dir} in it is the folder for the program's files.
func newMachine(t *testing.T, programs map[string]string, args ...string) *machine {
	t.Helper()
	m := &machine{fleet: newFleet(t), dir: t.TempDir(), node: "kiosk"}
	identity := system.IdentityDir(m.Namespace + "-" + m.node)
	m.folder = filepath.Join(identity, "capabilities.d")
	for _, dir := range []string{identity, m.folder} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range programs {
		m.writeCapability(name, content)
	}
	m.process = m.Pair(m.node, args...)
	return m
}

func (m *machine) writeCapability(name, content string) {
	m.Helper()
	content = "name: " + name + "\ndescription: A test.\n" + strings.ReplaceAll(content, "{dir}", m.dir)
	if os.Geteuid() == 0 {
		content += "\nrunAs: root\n"
	}
	if err := os.WriteFile(filepath.Join(m.folder, name+".yaml"), []byte(content), 0o600); err != nil {
		m.Fatal(err)
	}
}

// shellCapability returns a capability file that runs a script. The agent itself never runs a shell.
func shellCapability(script string) string {
	lines := strings.Split(strings.TrimSpace(script), "\n")
	return "argv:\n- /bin/sh\n- -c\n- |\n  " + strings.Join(lines, "\n  ") + "\ninputSchema: {type: object}"
}

// awaitPID waits until a program has written the id of a process to a file, and returns the id.
func (m *machine) awaitPID(name string) int {
	m.Helper()
	pid := 0
	m.Eventually(name+" is written", func() bool {
		content, err := os.ReadFile(filepath.Join(m.dir, name))
		if err != nil || !strings.HasSuffix(string(content), "\n") {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(content)))
		return err == nil
	})
	return pid
}

// isAlive reports whether a process exists and is no zombie.
func isAlive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), "\nState:\tZ")
}

// inputOfSize returns an input of about the given number of bytes.
func inputOfSize(bytes int) map[string]string {
	return map[string]string{"x": strings.Repeat("y", bytes)}
}

func withTimeout(n int32) func(*v1alpha1.CapabilityDispatchSpec) {
	return func(s *v1alpha1.CapabilityDispatchSpec) { s.TimeoutSeconds = n }
}

// TestProgramsThatMisbehaveEndTruthfully runs every program on the same agent, which must survive.
func TestProgramsThatMisbehaveEndTruthfully(t *testing.T) {
	cases := map[string]struct {
		program   string
		input     any
		timeout   int32
		phase     v1alpha1.DispatchPhase
		execution v1alpha1.Execution
		code      string
		says      string // part of the error or of the output
		truncated bool
	}{
		"own.deaf":    {program: shellCapability(`trap '' TERM; while :; do sleep 0.1; done`), timeout: 1, phase: v1alpha1.DispatchTimedOut, execution: v1alpha1.ExecutionFinished, code: "Timeout", says: "run time of 1s (timeoutSeconds of the dispatch)"},
		"own.forever": {program: "argv: [/usr/bin/yes]", timeout: 1, phase: v1alpha1.DispatchTimedOut, execution: v1alpha1.ExecutionFinished, code: "Timeout"},
		"own.forks": {program: shellCapability(`(setsid sh -c 'echo $$ >{dir}/left; exec sleep 1000' &)
while ! [ -s {dir}/left ]; do sleep 0.01; done; echo done`), phase: v1alpha1.DispatchSucceeded, execution: v1alpha1.ExecutionFinished, says: `"done\n"`},
		"own.signal":  {program: shellCapability(`kill -SEGV $$`), phase: v1alpha1.DispatchFailed, execution: v1alpha1.ExecutionFinished, code: "CapabilityFailed", says: "segmentation fault"},
		"own.status":  {program: shellCapability(`echo no paper >&2; exit 7`), phase: v1alpha1.DispatchFailed, execution: v1alpha1.ExecutionFinished, code: "CapabilityFailed", says: "exit status 7; it said: no paper"},
		"own.big":     {program: shellCapability(`head -c 300000 /dev/zero | tr '\0' x`), phase: v1alpha1.DispatchSucceeded, execution: v1alpha1.ExecutionFinished, says: `"xxx`, truncated: true},
		"own.latin":   {program: `argv: [/usr/bin/printf, 'a\377b']`, phase: v1alpha1.DispatchSucceeded, execution: v1alpha1.ExecutionFinished, says: "a\ufffdb"},
		"own.binary":  {program: "argv: [/usr/bin/printf, '\"\\377\"']\noutput: json", phase: v1alpha1.DispatchFailed, execution: v1alpha1.ExecutionFinished, code: "InvalidOutput", says: "UTF-8"},
		"own.nojson":  {program: "argv: [/usr/bin/printf, '{']\noutput: json", phase: v1alpha1.DispatchFailed, execution: v1alpha1.ExecutionFinished, code: "InvalidOutput", says: "JSON"},
		"own.long":    {program: shellCapability(`wc -c`), input: inputOfSize(300 << 10), phase: v1alpha1.DispatchRejected, execution: v1alpha1.ExecutionNotStarted, code: "InvalidInput", says: "at most 262144"},
		"own.fits":    {program: shellCapability(`wc -c`), input: inputOfSize(250 << 10), phase: v1alpha1.DispatchSucceeded, execution: v1alpha1.ExecutionFinished, says: strconv.Itoa(250<<10 + len(`{"x":""}`))},
		"own.shaped":  {program: "argv: [/bin/true]\ninputSchema: {type: object, required: [volume]}", phase: v1alpha1.DispatchRejected, execution: v1alpha1.ExecutionNotStarted, code: "InvalidInput", says: "missing property 'volume'"},
		"own.missing": {program: "argv: [/does/not/exist]", phase: v1alpha1.DispatchRejected, execution: v1alpha1.ExecutionNotStarted, code: "CapabilityUnavailable"},
		"own.option":  {program: "argv: [/bin/echo, {parameter: text}]\ninputSchema: {type: object, properties: {text: {type: string}}}", input: map[string]string{"text": "--flag"}, phase: v1alpha1.DispatchRejected, execution: v1alpha1.ExecutionNotStarted, code: "InvalidInput", says: "dash"},
		"own.unheard": {phase: v1alpha1.DispatchRejected, execution: v1alpha1.ExecutionNotStarted, code: "UnknownCapability", says: `has no capability "own.unheard"`},
		"own.inject":  {program: "argv: [/bin/echo, {parameter: text}]\ninputSchema: {type: object, properties: {text: {type: string}}}", input: map[string]string{"text": "$(id); `id`\n'"}, phase: v1alpha1.DispatchSucceeded, execution: v1alpha1.ExecutionFinished, says: "$(id); `id`"},
	}
	programs := map[string]string{}
	for name, c := range cases {
		if c.program != "" {
			programs[name] = c.program
		}
	}
	m := newMachine(t, programs)
	dispatches := map[string]*v1alpha1.CapabilityDispatch{}
	for name, c := range cases {
		if c.input == nil {
			c.input = map[string]any{}
		}
		if c.timeout == 0 {
			c.timeout = 30
		}
		dispatches[name] = m.CreateDispatch(m.node, name, c.input, withTimeout(c.timeout))
	}
	for name, c := range cases {
		s := m.AwaitEnded(dispatches[name]).Status
		code, message := "", ""
		if s.Error != nil {
			code, message = s.Error.Code, s.Error.Message
		}
		if s.Output != nil {
			message += string(s.Output.Raw)
		}
		if s.Phase != c.phase || s.Execution != c.execution || code != c.code || s.OutputTruncated != c.truncated || !strings.Contains(message, c.says) {
			t.Errorf("%s: %s/%s/%s truncated %t: %.300s", name, s.Phase, s.Execution, code, s.OutputTruncated, message)
		}
		if len(message) > 64<<10 {
			t.Errorf("%s: %d bytes are kept", name, len(message))
		}
		m.expectShown(dispatches[name].Name, s)
	}
	if leftPID := m.awaitPID("left"); isAlive(leftPID) {
		t.Error("a child that left its parents is alive")
	}
	if d := m.AwaitEnded(m.CreateDispatch(m.node, "echo", map[string]any{"still": "here"})); d.Status.Phase != v1alpha1.DispatchSucceeded {
		t.Errorf("after all that echo ended %+v", d.Status)
	}
}

// expectShown fails unless kubectl shows the phase, the execution and the error code of a dispatch.
func (m *machine) expectShown(name string, s v1alpha1.CapabilityDispatchStatus) {
	m.Helper()
	wide, err := system.Run(m.Context(), stack.Admin, "kubectl", "get", "cdisp", name, "-n", m.Namespace, "-o", "wide", "--no-headers")
	if err != nil {
		m.Error(err)
	}
	want := []string{string(s.Phase), string(s.Execution)}
	if s.Error != nil {
		want = append(want, s.Error.Code)
		m.Logf("%s: %s", s.Error.Code, s.Error.Message)
	}
	for _, text := range want {
		if !strings.Contains(wide, text) {
			m.Errorf("kubectl get -o wide does not show %s: %s", text, wide)
		}
	}
}

func TestCancellingKillsTheWholeTree(t *testing.T) {
	m := newMachine(t, map[string]string{"own.tree": shellCapability(`trap '' TERM
sh -c 'trap "" TERM; echo $$ >{dir}/child; while :; do sleep 1; done' &
(setsid sh -c 'trap "" TERM HUP; echo $$ >{dir}/away; while :; do sleep 1; done' &)
echo "40 half way" >&3
echo $$ >{dir}/root
while :; do sleep 1; done`)})
	d := m.CreateDispatch(m.node, "own.tree", map[string]any{})
	pids := []int{m.awaitPID("root"), m.awaitPID("child"), m.awaitPID("away")}
	testfleet.Await(m.fleet, d.Name, d, "40 %", func(d *v1alpha1.CapabilityDispatch) bool {
		return d.Status.Progress != nil && d.Status.Progress.Percent == 40 && d.Status.Progress.Message == "half way" && d.Status.Execution == v1alpha1.ExecutionStarted
	})
	for _, pid := range pids {
		if !isAlive(pid) {
			t.Fatalf("process %d is not there", pid)
		}
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`))
	if err := system.Client.Patch(t.Context(), d, patch); err != nil {
		t.Fatal(err)
	}
	if s := m.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchCancelled || s.Execution != v1alpha1.ExecutionFinished {
		t.Errorf("ended %+v", s)
	}
	for i, pid := range pids {
		if isAlive(pid) {
			t.Errorf("process %d is alive", i)
		}
	}
}

func TestACapabilityAddedAtRuntimeBecomesInvocableAndABrokenOneSaysWhy(t *testing.T) {
	m := newMachine(t, nil)
	m.writeCapability("own.late", "argv: [/bin/echo, hello]")
	m.writeCapability("own.broken", "argv: [echo]")
	capability := func(n *v1alpha1.Node, name string) *v1alpha1.NodeCapability {
		for i := range n.Status.Capabilities {
			if n.Status.Capabilities[i].Name == name {
				return &n.Status.Capabilities[i]
			}
		}
		return nil
	}
	node := testfleet.Await(m.fleet, m.node, &v1alpha1.Node{}, "aware of own.late", func(n *v1alpha1.Node) bool { return capability(n, "own.late") != nil })
	allow := append(node.Spec.CapabilityPolicy.Allow, "own.*")
	quoted := `"` + strings.Join(allow, `","`) + `"`
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"capabilityPolicy":{"allow":[`+quoted+`]}}}`))
	if err := system.Client.Patch(t.Context(), node, patch); err != nil {
		t.Fatal(err)
	}
	testfleet.Await(m.fleet, m.node, node, "granted", func(n *v1alpha1.Node) bool {
		late, broken := capability(n, "own.late"), capability(n, "own.broken")
		return late != nil && late.Available && broken != nil && !broken.Available && strings.Contains(broken.Reason, "absolute path") &&
			n.Status.Presence == v1alpha1.PresenceDegraded
	})
	if s := m.AwaitEnded(m.CreateDispatch(m.node, "own.late", map[string]any{})).Status; s.Phase != v1alpha1.DispatchSucceeded || string(s.Output.Raw) != `"hello\n"` {
		t.Errorf("own.late ended %+v", s)
	}
	for _, name := range []string{"own.late", "own.broken"} {
		if err := os.Remove(filepath.Join(m.folder, name+".yaml")); err != nil {
			t.Fatal(err)
		}
	}
	m.AwaitOnline(m.node)
}

// TestWhatAKilledAgentStartedIsEndedBeforeTheNextRuns uses a capability file that exists when the agent
// starts and does not change.
func TestWhatAKilledAgentStartedIsEndedBeforeTheNextRuns(t *testing.T) {
	m := newMachine(t, map[string]string{
		"own.stays": shellCapability(`(setsid sh -c 'trap "" TERM HUP; echo $$ >{dir}/left; while :; do sleep 1; done' &)
while :; do sleep 1; done`),
		// A killed process stays a zombie until its new parent reaps it. A zombie does not run.
		"own.looks": shellCapability(`grep -qs '^State:.[RSDT]' /proc/$(cat {dir}/left)/status && echo alive || echo gone`),
	})
	d := m.CreateDispatch(m.node, "own.stays", map[string]any{})
	leftPID := m.awaitPID("left")
	m.process.Kill()
	if !isAlive(leftPID) {
		t.Fatal("the process ended with the agent, so the test proves nothing")
	}
	next := m.CreateDispatch(m.node, "own.looks", map[string]any{})
	m.process = m.StartAgent(m.node)
	if s := m.AwaitEnded(next).Status; s.Output == nil || !strings.Contains(string(s.Output.Raw), "gone") {
		t.Errorf("after the restart of the agent: %+v, output %s", s, s.Output)
	}
	if s := m.AwaitEnded(d).Status; s.Execution != v1alpha1.ExecutionUnknown {
		t.Errorf("the interrupted dispatch ended %+v", s)
	}
	if isAlive(leftPID) {
		t.Error("the process of the killed agent is alive")
	}
}
