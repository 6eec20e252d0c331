package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// whoAmI returns the user and the groups that the apiserver sees for a kubeconfig.
func whoAmI(t *testing.T, c *cluster, kubeconfig string) (user string, groups []string) {
	t.Helper()
	out, err := c.kubectl(kubeconfig, "auth", "whoami", "-o", "json")
	if err != nil {
		t.Fatal(out)
	}
	var review struct {
		Status struct {
			UserInfo struct {
				Username string
				Groups   []string
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &review); err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo.Username, review.Status.UserInfo.Groups
}

func testCredentials(t *testing.T, c *cluster) {
	alice := filepath.Join(t.TempDir(), "alice")
	c.run("kubeconfig", "--user=alice", "--group=approvers", "--group=devs", "--namespace=fleet", "--out="+alice)
	if user, groups := whoAmI(t, c, alice); user != "alice" || !slices.Contains(groups, "approvers") || !slices.Contains(groups, "devs") {
		t.Errorf("alice is %q of %q", user, groups)
	}
	if out, err := c.kubectl(alice, "get", "secrets"); err == nil || !strings.Contains(out, `in the namespace "fleet"`) {
		t.Errorf("alice has rights, or no namespace: %v %s", err, out)
	}
	if info, err := os.Stat(alice); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of a kubeconfig: %v, %v", info.Mode(), err)
	}

	robot := filepath.Join(t.TempDir(), "robot")
	if out, err := c.try("kubeconfig", "--service-account=kept/robot"); err == nil || !strings.Contains(out, "create it first") {
		t.Errorf("an absent ServiceAccount: %v %s", err, out)
	}
	if out, err := c.kubectl(filepath.Join(c.state, "admin.kubeconfig"), "create", "serviceaccount", "robot", "-n", "kept"); err != nil {
		t.Fatal(out)
	}
	c.run("kubeconfig", "--service-account=kept/robot", "--duration=10m", "--out="+robot)
	if user, _ := whoAmI(t, c, robot); user != "system:serviceaccount:kept:robot" {
		t.Errorf("robot is %q", user)
	}

	admin := filepath.Join(t.TempDir(), "admin")
	c.run("kubeconfig", "--out="+admin)
	if out, err := c.kubectl(admin, "get", "secrets", "-A"); err != nil {
		t.Error(out)
	}
	audit, err := os.ReadFile(filepath.Join(c.state, "logs", "audit.log"))
	if err != nil || !strings.Contains(string(audit), `"username":"alice"`) || strings.Contains(string(audit), "requestObject") {
		t.Errorf("the audit log lacks alice, or has contents: %v", err)
	}
}
