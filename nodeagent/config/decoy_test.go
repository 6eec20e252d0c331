//go:build linux

package config

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnitTestsRunBesideADecoyInstallation shows that the decoys are in place. The unit tests run
// with decoys at the paths of a real installation (hack/decoys.sh), so that a test that reads the
// machine's own files fails.
func TestUnitTestsRunBesideADecoyInstallation(t *testing.T) {
	places, homes := os.Getenv("MOORING_TEST_DECOYS"), os.Getenv("MOORING_TEST_DECOY_HOMES")
	if places == "" {
		t.Skip("not started by hack/decoys.sh")
	}
	own, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"/etc/systemd/system/mooring-agent.service"}
	for _, find := range []func() (string, error){DefaultPath, DefaultIdentityDir} {
		path, err := find()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	files[2] = filepath.Join(files[2], "identity.pem")
	for _, place := range filepath.SplitList(places) {
		files = append(files, filepath.Join(place, "config.yaml"))
	}
	if len(filepath.SplitList(homes)) == 0 {
		t.Error("no other user's home has decoys")
	}
	for _, home := range append(filepath.SplitList(homes), own) {
		for _, file := range []string{".kube/config", ".config/mooring-agent/config.yaml", ".config/systemd/user/mooring-agent.service", ".local/state/mooring-agent/identity.pem"} {
			files = append(files, filepath.Join(home, file))
		}
	}
	for _, file := range files {
		if content, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(content), "decoy:") {
			t.Errorf("%s holds %q, %v, want a decoy", file, content, err)
		}
	}
}

// TestAMachineWithoutDecoysIsReported runs hack/decoys.sh where it cannot place decoys. It must
// print one line with the reason, and run the command.
func TestAMachineWithoutDecoysIsReported(t *testing.T) {
	for program, row := range map[string]struct{ script, reason string }{
		"id":      {"echo 1000", "this user is not root"},
		"unshare": {"exit 1", "does not allow a mount namespace"},
		"mkdir":   {"exit 1", "cannot create /"},
	} {
		if program != "id" && os.Geteuid() != 0 {
			continue // the check of the user comes first
		}
		if program == "mkdir" && exec.Command("unshare", "--mount", "true").Run() != nil {
			continue
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"+row.script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		var stderr strings.Builder
		script := exec.Command("../../hack/decoys.sh", "sh", "-c", "echo ran; exit 7")
		// The home of this run does not exist, so that a folder has to be created.
		script.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+filepath.Join(dir, "home"))
		script.Stderr = &stderr
		output, err := script.Output()
		if string(output) != "ran\n" || script.ProcessState.ExitCode() != 7 {
			t.Errorf("with a false %s: the command printed %q, %v, want its own output and exit code 7", program, output, err)
		}
		if line := stderr.String(); !strings.Contains(line, row.reason) || !strings.HasSuffix(line, "the tests run without decoys\n") {
			t.Errorf("with a false %s: stderr is %q, want one line with %q", program, line, row.reason)
		}
	}
}
