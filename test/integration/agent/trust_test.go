package agent_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// nobodyUID is the UID of an unprivileged system user.
const nobodyUID = 65534

// programPlacer creates a program in or below a folder. It returns the path, and the reason why the
// agent does not run the program; "" when the agent runs it.
type programPlacer func(t *testing.T, top string) (path, refused string)

var programPlacers = map[string]programPlacer{
	"own.safe": func(t *testing.T, top string) (string, string) { return copyProgram(t, top, "cat"), "" },
	"own.folder": func(t *testing.T, top string) (string, string) {
		path := copyProgram(t, filepath.Join(top, "loose"), "cat")
		chmod(t, filepath.Join(top, "loose"), 0o777)
		return path, "chmod go-w " + filepath.Join(top, "loose")
	},
	"own.above": func(t *testing.T, top string) (string, string) {
		path := copyProgram(t, filepath.Join(top, "loose", "deep"), "cat")
		chmod(t, filepath.Join(top, "loose"), 0o777)
		return path, "chmod go-w " + filepath.Join(top, "loose")
	},
	"own.link": func(t *testing.T, top string) (string, string) {
		program := copyProgram(t, filepath.Join(top, "safe"), "cat")
		link := filepath.Join(top, "loose", "cat")
		if err := os.Mkdir(filepath.Dir(link), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(program, link); err != nil {
			t.Fatal(err)
		}
		chmod(t, filepath.Dir(link), 0o777)
		return link, "chmod go-w " + filepath.Dir(link)
	},
	"own.sticky": func(t *testing.T, top string) (string, string) {
		path := copyProgram(t, filepath.Join(top, "shared"), "cat")
		chmod(t, filepath.Dir(path), 0o777|os.ModeSticky)
		return path, "use a folder of its own"
	},
	"own.owner": func(t *testing.T, top string) (string, string) {
		path := copyProgram(t, top, "cat")
		if os.Geteuid() != 0 {
			return path, "" // only root can give a file away
		}
		if err := os.Chown(path, nobodyUID, nobodyUID); err != nil {
			t.Fatal(err)
		}
		return path, "belongs to user id"
	},
	"own.interpreter": func(t *testing.T, top string) (string, string) {
		interpreter := copyProgram(t, filepath.Join(top, "loose"), "cat")
		chmod(t, filepath.Dir(interpreter), 0o777)
		script := filepath.Join(top, "script")
		if err := os.WriteFile(script, []byte("#!"+interpreter+"\n"), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
		return script, "chmod go-w " + filepath.Dir(interpreter)
	},
}

// copyProgram copies a program of the system into a folder and returns its path.
func copyProgram(t *testing.T, dir, program string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // programs are read by others
		t.Fatal(err)
	}
	path := filepath.Join(dir, program)
	if out, err := exec.CommandContext(t.Context(), "/bin/cp", "--", "/bin/"+program, path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// runCapability offers a run of a capability and returns its result.
func (m *machine) runCapability(s *fakegateway.Session, uid, capability string) *gatewayv1.Result {
	m.Helper()
	s.Send(m, &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Offer{Offer: &gatewayv1.Offer{
		Dispatch: dispatchRef(uid), Capability: capability, Input: []byte("{}"), Timeout: durationpb.New(time.Minute),
		Expires: timestamppb.New(inOneHour()), MaxPayloadBytes: 1 << 16, RequestedBy: "ada"}}})
	return fakegateway.AwaitMessage(m, s, func(r *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Result {
		if result := r.GetResult(); result.GetDispatch().GetUid() == uid {
			return result
		}
		return nil
	})
}

// TestAMachineRunsNoProgramThatOthersCanReplace checks that a machine runs a program only if no
// other user can replace it, and that it runs the file that was checked.
func TestAMachineRunsNoProgramThatOthersCanReplace(t *testing.T) {
	m := &machine{T: t, gateway: fakegateway.Start(t), dir: t.TempDir()}
	folder := filepath.Join(m.dir, "capabilities")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	refusals := map[string]string{}
	for name, place := range programPlacers {
		path, refused := place(t, filepath.Join(m.dir, name))
		refusals[name] = refused
		file := fmt.Sprintf("name: %s\ndescription: A test.\nrunAs: %q\nargv: [%s, /proc/self/comm]\n", name, fmt.Sprint(os.Geteuid(), ":", os.Getegid()), path)
		if err := os.WriteFile(filepath.Join(folder, name+".yaml"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.start("--pairing", m.gateway.PairingEndpoint, "--code", fakegateway.Code.String(), "--capabilities-dir", folder)
	s := m.gateway.Node.NextSession(t)
	for name, refused := range refusals {
		result := m.runCapability(s, name, name)
		switch ran := result.GetOutcome() == succeeded; {
		case refused == "" && !ran:
			t.Errorf("%s is safe and ended %s: %s", name, result.GetOutcome(), result.GetErrorMessage())
		case refused != "" && (ran || !strings.Contains(result.GetErrorMessage(), refused)):
			t.Errorf("%s ended %s: %q, want it refused for %q", name, result.GetOutcome(), result.GetErrorMessage(), refused)
		case refused == "" && strings.Contains(string(result.GetOutput()), "cat"):
			// Linux names a process after the executed file: here the descriptor that was checked.
			t.Errorf("%s was executed by its name: %s", name, result.GetOutput())
		}
	}
}
