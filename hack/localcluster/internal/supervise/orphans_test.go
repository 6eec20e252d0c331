package supervise

import (
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOrphansOfThisStateAreKilledAndNoOthers(t *testing.T) {
	dir := t.TempDir()
	sleeper := func(state string) *exec.Cmd {
		command := exec.Command("/bin/sleep", "1000")
		command.Env = []string{stateVariable + "=" + state}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		return command
	}
	ours, other := sleeper(dir), sleeper(dir+"-other")
	reaped := make(chan error, 1)
	go func() { reaped <- ours.Wait() }()
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	// The environment is visible once the child has called exec.
	eventually(t, "the orphan is found", func() bool {
		pids, err := Orphans(dir)
		return err == nil && cmp.Equal(pids, []int{ours.Process.Pid})
	})
	killed, err := KillOrphans(dir)
	if diff := cmp.Diff([]int{ours.Process.Pid}, killed); diff != "" || err != nil {
		t.Error(diff, err)
	}
	<-reaped
	if !alive(other.Process.Pid) {
		t.Error("the process of another cluster was killed")
	}
}

func TestComponentsDoNotInheritOtherClusters(t *testing.T) {
	got := cleanEnvironment([]string{"PATH=/bin", "KUBECONFIG=/home/me/prod", "ETCD_NAME=x", "KUBERNETES_SERVICE_HOST=10.0.0.1", "HOME=/root"})
	if diff := cmp.Diff([]string{"PATH=/bin", "HOME=/root"}, got); diff != "" {
		t.Error(diff)
	}
}
