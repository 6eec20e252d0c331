package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCapabilityFilesAreListedAndChecked(t *testing.T) {
	identity := t.TempDir()
	dir := filepath.Join(identity, "capabilities.d")
	runAs := ""
	if os.Geteuid() == 0 {
		runAs = "runAs: root\n"
	}
	good, bad := filepath.Join(dir, "own.good.yaml"), filepath.Join(dir, "own.bad.yaml")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{
		good: "name: own.good\ndescription: Good.\nargv: [/bin/true]\nmediation: local\n" + runAs, bad: "name: own.bad\ndescription: Bad.\nargv: [true]\n" + runAs,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errOut := execute(t, t.Context(), "", "capabilities", "list", "--identity-dir", identity, "-o", "json")
	var list []capabilityInfo
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != exitOK || len(list) != 2 {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, errOut)
	}
	if list[0].Name != "own.bad" || list[0].Available || !strings.Contains(list[0].Reason, "absolute path") || !list[1].Available || list[1].Mediation != "Local" {
		t.Errorf("listed %+v", list)
	}
	if code, out, _ := execute(t, t.Context(), "", "capabilities", "validate", good); code != exitOK || !strings.Contains(out, "own.good") {
		t.Errorf("a good file: exit %d: %s", code, out)
	}
	if code, _, errOut := execute(t, t.Context(), "", "capabilities", "validate", bad); code != exitError || !strings.Contains(errOut, "absolute path") {
		t.Errorf("a bad file: exit %d: %s", code, errOut)
	}
}

func TestMediateSaysThatNoAgentRuns(t *testing.T) {
	for _, args := range [][]string{{"list"}, {"allow", "x"}, {"deny", "x"}, {"watch"}} {
		code, _, errOut := execute(t, t.Context(), "", append([]string{"mediate", "--identity-dir", t.TempDir()}, args...)...)
		if code != exitNotRunning || !strings.Contains(errOut, "no agent runs there") {
			t.Errorf("%v: exit %d: %s", args, code, errOut)
		}
	}
}

func TestWrongWordsAboutTheMachineAreRefused(t *testing.T) {
	for flag, value := range map[string]string{"--transport": "pigeon", "--desktop": "maybe", "--prompt": "loudly"} {
		code, _, errOut := execute(t, t.Context(), "", "run", "--identity-dir", filepath.Join(t.TempDir(), "id"), "--name", "box", flag, value)
		if code != exitUsage || !strings.Contains(errOut, flag) {
			t.Errorf("%s %s: exit %d: %s", flag, value, code, errOut)
		}
	}
}

func TestALoosePolicyEndsTheAgentWithItsExitCode(t *testing.T) {
	dir := t.TempDir()
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(policy, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	code, _, errOut := execute(t, t.Context(), "", "run", "--identity-dir", dir, "--name", "box", "--mediation-policy", policy)
	if code != exitIdentityDir || !strings.Contains(errOut, "chmod go-w "+policy) {
		t.Errorf("exit %d: %s", code, errOut)
	}
}
