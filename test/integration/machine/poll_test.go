package machine_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestPollsRunTheSameDispatches(t *testing.T) {
	m := newMachine(t, map[string]string{"own.asked": mediatedCapability, "own.big": shellCapability(`head -c 300000 /dev/zero | tr '\0' x`)}, "--transport", "poll")
	var all []*v1alpha1.CapabilityDispatch
	for i := range 10 {
		all = append(all, m.CreateDispatch(m.node, "echo", map[string]int{"n": i}))
	}
	for i, d := range all {
		if s := m.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchSucceeded || string(s.Output.Raw) != fmt.Sprintf(`{"n":%d}`, i) {
			t.Errorf("echo %d ended %+v", i, s)
		}
	}
	if s := m.AwaitEnded(m.CreateDispatch(m.node, "own.big", map[string]any{}, func(s *v1alpha1.CapabilityDispatchSpec) { s.MaxPayloadBytes = 262144 })).Status; s.Phase != v1alpha1.DispatchSucceeded || !s.OutputTruncated || len(s.Output.Raw) < 262000 {
		t.Errorf("own.big ended %s with %d bytes", s.Phase, len(s.Output.Raw))
	}
	d := m.awaitAsked(m.CreateDispatch(m.node, "own.asked", map[string]string{"text": "x"}))
	m.runMediate("allow", d.Name)
	if s := m.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchSucceeded {
		t.Errorf("own.asked ended %+v", s)
	}
	m.RestartGateway()
	if s := m.AwaitEnded(m.CreateDispatch(m.node, "echo", map[string]any{"after": "the restart"})).Status; s.Phase != v1alpha1.DispatchSucceeded {
		t.Errorf("after a restart of the gateway: %+v", s)
	}
}

// TestAnIdleAgentIsSmall logs the memory and processor time of an idle agent. It has a bound for the
// memory alone.
func TestAnIdleAgentIsSmall(t *testing.T) {
	m := newMachine(t, map[string]string{"own.asked": mediatedCapability})
	measure := 2 * time.Second
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		measure = time.Minute
	}
	before, begun := cpuTime(t, m.process.Pid()), time.Now()
	time.Sleep(measure) // the measured interval
	busy := cpuTime(t, m.process.Pid()) - before
	rss := residentBytes(t, m.process.Pid())
	t.Logf("idle agent: %.1f MiB resident, %.2f %% of a processor over %s", float64(rss)/(1<<20), 100*busy.Seconds()/time.Since(begun).Seconds(), time.Since(begun).Round(time.Second))
	if rss >= 25<<20 {
		t.Errorf("%d bytes resident, want less than 25 MiB", rss)
	}
}

func residentBytes(t *testing.T, pid int) int {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// cpuTime returns the processor time of a process: fields 14 and 15 of its stat, in ticks of 10 ms.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	kernel, _ := strconv.Atoi(fields[12])
	return time.Duration(user+kernel) * 10 * time.Millisecond
}
