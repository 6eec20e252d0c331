package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// render fills in the template like the library.
func render(t *testing.T, user bool, files []string) string {
	t.Helper()
	text := strings.NewReplacer("{{Description}}", "Test", "{{Path | cmdEscape}}", "/bin/true", "{{range Arguments}} {{. | cmd}}{{end}}", ` "run"`).Replace(unitFile(user, files))
	if strings.Contains(text, "{{") {
		t.Fatalf("not filled in: %s", text)
	}
	return text
}

func unitValue(text, key string) string {
	for l := range strings.Lines(text) {
		if value, found := strings.CutPrefix(strings.TrimSpace(l), key+"="); found {
			return value
		}
	}
	return ""
}

func TestTheUnitWaitsForTheDisksOfItsFiles(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/usr", link); err != nil {
		t.Fatal(err)
	}
	files := []string{"/var/lib/mooring-agent", "/mnt/data disk/100%/caps", link, "/var/lib/mooring-agent", "relative", "/.with\"quote", "/with{{Name}}"}
	want := []string{
		`\x2ewith\x22quote.mount`, "mnt.mount", `mnt-data\x20disk.mount`, `mnt-data\x20disk-100\x25.mount`, `mnt-data\x20disk-100\x25-caps.mount`,
		"usr.mount", "var.mount", "var-lib.mount", `var-lib-mooring\x2dagent.mount`, `with\x7b\x7bName\x7d\x7d.mount`,
	}
	want = append(want, mountUnits(link)...)
	slices.Sort(want)
	list := strings.Join(want, " ")
	for _, user := range []bool{true, false} {
		if text := render(t, user, files); !strings.Contains(text, "\nWants="+list+"\nAfter="+list+"\n") {
			t.Errorf("user %t: want %s in\n%s", user, list, text)
		}
	}
	if got := render(t, false, nil); strings.Contains(got, ".mount") {
		t.Errorf("without files: %s", got)
	}
}

// TestTheUnitRequiresNoMount verifies that one failed mount does not end the service for good.
func TestTheUnitRequiresNoMount(t *testing.T) {
	text := render(t, false, []string{"/var/lib/mooring-agent"})
	for _, key := range []string{"RequiresMountsFor", "Requires", "BindsTo", "Requisite"} {
		if got := unitValue(text, key); got != "" {
			t.Errorf("%s=%s", key, got)
		}
	}
}

// TestOnlyADecisionAboutThePairingEndsTheServiceForGood has a row for each exit code of the run
// command.
func TestOnlyADecisionAboutThePairingEndsTheServiceForGood(t *testing.T) {
	prevented := strings.Fields(unitValue(render(t, false, nil), "RestartPreventExitStatus"))
	for code, final := range map[string]bool{
		"0": false, "1": false,
		"2": false, // no configuration, or not paired: the disk may be mounted later
		"3": true, "4": true, "5": true, "6": true, "7": true,
		"8": false, // unsafe or in use: a person can repair it, or the other agent ends
		"9": true,
	} {
		if got := slices.Contains(prevented, code); got != final {
			t.Errorf("exit code %s ends the service for good: %t", code, got)
		}
	}
}

func TestSystemdTakesTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not there")
	}
	for _, user := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), Name+".service")
		if err := os.WriteFile(path, []byte(render(t, user, []string{"/var/lib/mooring-agent", "/mnt/data disk/100%/caps"})), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), path) {
			t.Errorf("user %t: %v: %s", user, err, out)
		}
	}
}

func TestAServiceThatIsStartedAgainAndAgainHasEnded(t *testing.T) {
	for text, ended := range map[string]bool{
		"LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\nExecMainStatus=8\n": true,
		"LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\n":                              false,
		"LoadState=loaded\nActiveState=activating\nSubState=start\nResult=success\n":                            false,
		"LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nExecMainStatus=5\n":           true,
		"LoadState=loaded\nActiveState=inactive\nSubState=dead\nResult=success\n":                               true,
	} {
		if got := parseShow(text); got.Ended() != ended {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
