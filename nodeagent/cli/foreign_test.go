//go:build linux

package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign/corpus"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
	"github.com/mooring-dev/mooring/nodeagent/service"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// hostile is foreign text: it stands for the texts of the cluster, of a gateway or of another
// program.
var hostile = corpus.ToValid(corpus.AllEffects + strings.Repeat("long ", 200))

// hostileManager is a service manager whose texts are all hostile.
type hostileManager struct {
	state service.State
	err   error
}

func (hostileManager) Describe() string                   { return hostile }
func (m hostileManager) Install(service.Definition) error { return m.err }
func (m hostileManager) Uninstall() error                 { return m.err }
func (m hostileManager) Start() error                     { return m.err }
func (m hostileManager) Stop() error                      { return m.err }
func (m hostileManager) Restart() error                   { return m.err }

func (m hostileManager) Status(context.Context) (service.Status, error) {
	return service.Status{State: m.state, Detail: hostile}, nil
}

// Logs writes the output of a foreign program; a log may hold several lines.
func (m hostileManager) Logs(_ context.Context, out io.Writer, _ bool) error {
	for _, name := range []string{"ESC", "C0", "C1", "raw C1 bytes", "DEL", "bidirectional", "zero width", "invalid UTF-8", "tags", "CR"} {
		if _, err := io.WriteString(out, corpus.Texts[name]+"\n"); err != nil {
			return err
		}
	}
	return m.err
}

// hostileAgent answers on both sockets of an identity directory, as a program does that replaced
// the agent.
func hostileAgent(t *testing.T, dir string) {
	t.Helper()
	run := store.RunPath(dir)
	if err := os.MkdirAll(run, 0o700); err != nil {
		t.Fatal(err)
	}
	at := time.Now().UTC()
	report := status.Report{Phase: status.Phase(hostile), Version: hostile, PID: 7, Started: at, PairingRequest: hostile, PairingMessage: hostile,
		Gateway: hostile, Session: hostile, Transport: hostile, ConnectedSince: at, LastError: hostile, LastErrorReason: hostile, LastErrorTime: at,
		Capabilities: []status.Capability{{Name: hostile, Reason: hostile}, {Name: hostile}, {Name: hostile, Granted: true}}}
	question := mediation.Question{Namespace: hostile, Name: hostile, UID: hostile, Capability: hostile, Description: hostile, Target: hostile,
		RequestedBy: hostile, Since: at, Until: at.Add(time.Hour)}
	for socket, reply := range map[string]any{
		status.SocketPath(run):    map[string]any{"report": report},
		mediation.SocketPath(run): map[string]any{"questions": []mediation.Question{question}},
	} {
		line, err := json.Marshal(reply)
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		var serving sync.WaitGroup
		serving.Go(func() {
			for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
				_, _ = bufio.NewReader(conn).ReadBytes('\n')
				_, _ = conn.Write(append(line, '\n'))
				conn.Close()
			}
		})
		t.Cleanup(func() { listener.Close(); serving.Wait() })
	}
}

// hostileMachine is a machine on which other people wrote every text that the agent shows.
type hostileMachine struct {
	dir, config, badConfig, capability, badCapability, log string
}

func newHostileMachine(t *testing.T) hostileMachine {
	t.Helper()
	base := t.TempDir()
	m := hostileMachine{dir: filepath.Join(base, "id"), config: filepath.Join(base, "config.yaml"), badConfig: filepath.Join(base, "bad.yaml"), log: filepath.Join(base, "log")}
	own := filepath.Join(m.dir, store.CapabilitiesFolder)
	m.capability, m.badCapability = filepath.Join(own, "own.good.yaml"), filepath.Join(own, "own.bad.yaml")
	if err := os.MkdirAll(own, 0o700); err != nil {
		t.Fatal(err)
	}
	quoted, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	runAs := ""
	if os.Geteuid() == 0 {
		runAs = "runAs: root\n"
	}
	for path, text := range map[string]string{
		m.config:        "capabilitiesDir: " + string(quoted) + "\nname: box\n",
		m.badConfig:     string(quoted) + ": " + string(quoted) + "\n",
		m.capability:    "name: own.good\ndescription: " + string(quoted) + "\nargv: [/bin/true]\n" + runAs,
		m.badCapability: "name: own.bad\n" + string(quoted) + ": 1\nargv: [" + string(quoted) + "]\n" + runAs,
		m.log:           corpus.Texts["ESC"] + "\n" + corpus.Texts["raw C1 bytes"] + corpus.Texts["bidirectional"] + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hostileAgent(t, m.dir)
	return m
}

// foreignCommands has the command lines of every command that does something. DIR, CONFIG, BAD,
// FILE, BADFILE and LOG stand for the paths of the hostile machine.
var foreignCommands = map[string][]string{
	"status":                {"status --identity-dir DIR", "status --identity-dir DIR -o json", "status --config BAD"},
	"doctor":                {"doctor --identity-dir DIR", "doctor --identity-dir DIR -o json", "doctor --config BAD"},
	"capabilities list":     {"capabilities list --identity-dir DIR", "capabilities list --identity-dir DIR -o json"},
	"capabilities validate": {"capabilities validate FILE", "capabilities validate FILE -o json", "capabilities validate BADFILE", "capabilities validate BADFILE -o json"},
	"mediate list":          {"mediate list --identity-dir DIR", "mediate list --identity-dir DIR -o json"},
	"mediate watch":         {"mediate watch --identity-dir DIR", "mediate watch --identity-dir DIR -o json"},
	"mediate allow":         {"mediate allow x --identity-dir DIR", "mediate allow x --identity-dir DIR -o json"},
	"mediate deny":          {"mediate deny x --identity-dir DIR", "mediate deny x --identity-dir DIR -o json"},
	"config view":           {"config view --config CONFIG", "config view --config CONFIG -o json", "config view --config BAD"},
	"config validate":       {"config validate CONFIG", "config validate BAD"},
	"start":                 {"start --identity-dir DIR", "start --config BAD"},
	"stop":                  {"stop"},
	"restart":               {"restart --identity-dir DIR", "restart --config BAD"},
	"logs":                  {"logs", "logs --log-file LOG", "logs --config BAD"},
	"install":               {"install --identity-dir DIR --name box", "install --config BAD"},
	"uninstall":             {"uninstall --yes --identity-dir DIR", "uninstall --config BAD --yes"},
	"version":               {"version"},
	// TestNoWordOfAGatewayActsOnATerminal tests run with the texts of a gateway.
	"run": {"run --config BAD", "run --config CONFIG --identity-dir DIR"},
}

func TestNoCommandPrintsForeignTextThatActsOnATerminal(t *testing.T) {
	forEachCommand(newRoot(Build{}), "", func(path string) {
		if len(foreignCommands[path]) == 0 {
			t.Errorf("command %q has no row here", path)
		}
	})
	for name, manager := range map[string]hostileManager{
		"stopped": {state: service.Stopped}, "running": {state: service.Running}, "failed": {state: service.Failed},
		"refusing": {state: service.Stopped, err: fmt.Errorf("%w: %s", service.ErrRefused, hostile)},
	} {
		t.Run(name, func(t *testing.T) {
			m := newHostileMachine(t)
			places := strings.NewReplacer("BADFILE", m.badCapability, "FILE", m.capability, "BAD", m.badConfig, "CONFIG", m.config, "DIR", m.dir, "LOG", m.log)
			build := Build{Services: func() (service.Manager, error) { return manager, nil }}
			for _, lines := range foreignCommands {
				for _, line := range lines {
					var out, errOut bytes.Buffer
					run(t.Context(), strings.Fields(places.Replace(line)), strings.NewReader(""), &out, &errOut, build)
					for _, shown := range []string{out.String(), errOut.String()} {
						if problem := corpus.FindProblem(shown); problem != "" {
							t.Errorf("%s: %s in\n%.1500q", line, problem, shown)
						}
					}
					if out.Len()+errOut.Len() == 0 {
						t.Errorf("%s: nothing was printed", line)
					}
				}
			}
		})
	}
}

// forEachCommand calls see with the path of each command that can be run by itself.
func forEachCommand(cmd *cobra.Command, path string, see func(string)) {
	for _, sub := range cmd.Commands() {
		name := strings.TrimSpace(path + " " + sub.Name())
		if !sub.HasSubCommands() {
			see(name)
		}
		forEachCommand(sub, name, see)
	}
}

// TestNoWordOfAGatewayActsOnATerminal checks the console and both log formats. A gateway sends each
// of its texts as hostile text.
func TestNoWordOfAGatewayActsOnATerminal(t *testing.T) {
	refuse := func(c codes.Code) error { return grpcstatus.Error(c, hostile) }
	for name, spoil := range map[string]func(*fakegateway.Gateway){
		"a refused exchange": func(g *fakegateway.Gateway) { g.Pairing.Begin = func() error { return refuse(codes.InvalidArgument) } },
		"a denial": func(g *fakegateway.Gateway) {
			g.Pairing.Status = func(int, []byte) (*gatewayv1.GetPairingRequestStatusResponse, error) {
				return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Denied{
					Denied: &gatewayv1.PairingDenied{Reason: hostile}}}, nil
			}
		},
		"a message, then a failure": func(g *fakegateway.Gateway) {
			g.Pairing.Status = func(poll int, _ []byte) (*gatewayv1.GetPairingRequestStatusResponse, error) {
				if poll == 1 {
					return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Pending{
						Pending: &gatewayv1.PairingPending{Message: hostile}}}, nil
				}
				return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Failed{
					Failed: &gatewayv1.PairingFailed{Reason: hostile}}}, nil
			}
		},
		"a refused session": func(g *fakegateway.Gateway) {
			g.Node.Register = func() error { return refuse(codes.PermissionDenied) }
		},
	} {
		for _, format := range []string{"text", "json"} {
			t.Run(name+", log in "+format, func(t *testing.T) {
				g := fakegateway.Start(t)
				spoil(g)
				// A run that does not end by itself is cancelled once the console has shown the
				// text of the gateway.
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				out := &watchedBuffer{to: &bytes.Buffer{}, word: "\uFFFD", seen: make(chan struct{})}
				var stopping sync.WaitGroup
				if name == "a refused session" {
					stopping.Go(func() { <-out.seen; cancel() })
				}
				var errOut bytes.Buffer
				run(ctx, []string{"run", "--identity-dir", filepath.Join(t.TempDir(), "id"), "--pairing", g.PairingEndpoint, "--code", fakegateway.Code.String(),
					"--name", "box", "--log-format", format, "--log-level", "debug"}, strings.NewReader(""), out, &errOut, Build{})
				stopping.Wait()
				corpus.CheckSafe(t, out.to.String())
				corpus.CheckSafe(t, errOut.String())
				if !strings.Contains(out.to.String()+errOut.String(), "\uFFFD") {
					t.Errorf("nothing of the gateway was shown:\n%.2000s\n%.2000s", out.to.String(), errOut.String())
				}
			})
		}
	}
}
