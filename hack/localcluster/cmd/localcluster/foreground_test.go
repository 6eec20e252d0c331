package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"syscall"
	"testing"
)

// foreground starts `up` attached to a pipe and waits for the line that reports the cluster as
// ready.
func foreground(t *testing.T, c *cluster) (command *exec.Cmd, stdin io.Closer) {
	t.Helper()
	command = c.command("up", "--until-stdin-closes", "--output=json")
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var line ready
	if err := json.NewDecoder(stdout).Decode(&line); err != nil || line.Server == "" {
		t.Fatalf("ready line %+v, %v", line, err)
	}
	return command, stdin
}

func TestTheEndOfStandardInputStopsEverything(t *testing.T) {
	c := newCluster(t)
	command, stdin := foreground(t, c)
	if !c.status().Ready {
		t.Error("up reported the cluster as ready, and it is not")
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("a stop that was asked for is no failure: %v", err)
	}
	c.wantNoProcesses()
}

func TestCtrlCWhileStartingLeavesNothing(t *testing.T) {
	c := newCluster(t)
	command := c.command("up", "--foreground")
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	if !lines.Scan() { // the first component is up
		t.Fatal("up printed nothing")
	}
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		t.Log(lines.Text())
	}
	if err := command.Wait(); err == nil {
		t.Error("it was not ready, and exits 0")
	}
	c.wantNoProcesses()
}
