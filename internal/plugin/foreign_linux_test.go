package plugin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign/corpus"
)

// hostile is a text of a machine or of another server; JSON carries it as valid UTF-8.
var hostile = corpus.ToValid(corpus.AllEffects + strings.Repeat("long ", 200))

// makeHostile sets every text of an object to hostile, except the fields that the server validates.
func makeHostile(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			makeHostile(v.Elem())
		}
	case reflect.Struct:
		if v.Type().PkgPath() == "time" || v.Type() == reflect.TypeFor[metav1.Time]() {
			return
		}
		for i := range v.NumField() {
			switch v.Type().Field(i).Name {
			case "TypeMeta", "ObjectMeta", "NodeName", "Phase", "Type", "Reason", "Verdict", "Execution", "Presence", "Trust", "Mediation",
				"Status", "Method", "PublicKeySHA256", "VerificationCode", "DesiredState", "Allow", "Deny", "RequestedCapabilities", "CodeName", "Name", "Capability":
				if v.Type().Field(i).Type.Kind() != reflect.Struct || v.Type().Field(i).Name == "ObjectMeta" || v.Type().Field(i).Name == "TypeMeta" {
					continue
				}
			}
			makeHostile(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			makeHostile(v.Index(i))
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(hostile)
		}
	}
}

// hostileObjects returns the objects that the server answers with, by resource.
func hostileObjects(phase v1alpha1.DispatchPhase, output string) map[string]any {
	now := metav1.NewTime(time.Now().Add(time.Hour))
	request := pendingRequest("press-3-9f86d081-k7qx2m", func(r *v1alpha1.PairingRequest) { r.Spec.ExpiresTime = now })
	machine := onlineNode("press-3", func(n *v1alpha1.Node) {
		n.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "No", Message: "m"}}
		n.Status.System = request.Spec.System.DeepCopy()
		n.Finalizers = []string{v1alpha1.FinalizerNode}
	})
	dispatch := finishedDispatch(v1alpha1.CapabilityDispatchStatus{Phase: phase, Error: &v1alpha1.DispatchError{Code: "CapabilityFailed"},
		Execution: v1alpha1.ExecutionFinished})
	for _, object := range []any{request, machine, dispatch} {
		makeHostile(reflect.ValueOf(object))
	}
	if output != "" {
		dispatch.Status.Output = &v1alpha1.JSON{Raw: []byte(output)}
	}
	code := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Name: "code-x1", Namespace: "workshop"},
		Status: v1alpha1.PairingCodeStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Message: hostile}}, Phase: v1alpha1.PairingCodeExpired}}
	return map[string]any{"nodes": machine, "pairingrequests": request, "capabilitydispatches": dispatch, "pairingcodes": code}
}

// serveHostile answers every request with a hostile object or, with refuse, with a hostile error.
func serveHostile(t *testing.T, objects map[string]any, refuse bool) string {
	t.Helper()
	kinds := map[string]string{"nodes": "Node", "pairingrequests": "PairingRequest", "capabilitydispatches": "CapabilityDispatch", "pairingcodes": "PairingCode"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		w.Header().Set("Content-Type", "application/json")
		resource := parts[min(5, len(parts)-1)]
		object, known := objects[resource]
		if refuse || !known {
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure",
				Message: hostile, Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden})
			return
		}
		fields := map[string]any{}
		raw, _ := json.Marshal(object)
		_ = json.Unmarshal(raw, &fields)
		fields["apiVersion"], fields["kind"] = v1alpha1.GroupVersion.String(), kinds[resource]
		switch {
		case r.URL.Query().Get("watch") != "":
			_ = json.NewEncoder(w).Encode(map[string]any{"type": "MODIFIED", "object": fields})
		case r.Method == http.MethodGet && (len(parts) == 6 || len(parts) == 4): // objects of one namespace, or of all
			_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": kinds[resource] + "List",
				"metadata": map[string]any{}, "items": []any{fields}})
		default:
			if r.Method == http.MethodPatch && resource == "pairingrequests" {
				fields["spec"].(map[string]any)["decision"] = map[string]any{"verdict": "Approved", "by": hostile}
				fields["status"] = map[string]any{"phase": "Failed", "conditions": []any{map[string]any{"type": v1alpha1.ConditionCompleted, "reason": "NameTaken", "message": hostile}}}
			}
			_ = json.NewEncoder(w).Encode(fields)
		}
	}))
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, namespace: workshop}}]\nclusters: [{name: a, cluster: {server: %q}}]\n", server.URL)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// foreignCommands has the command lines for every command; the test fails for a missing command.
var foreignCommands = map[string][][]string{
	"nodes":      {{"nodes"}, {"nodes", "press-3"}},
	"pending":    {{"pending"}},
	"approve":    {{"approve", "press-3-9f86d081-k7qx2m", "--yes"}, {"approve", "--all", "--yes"}},
	"deny":       {{"deny", "press-3-9f86d081-k7qx2m", "--reason", corpus.AllEffects}},
	"code":       {{"code"}},
	"grant":      {{"grant", "press-3", "--capability", "other"}},
	"invoke":     {{"invoke", "press-3", "echo"}, {"invoke", "press-3", "echo", "--wait=false"}},
	"can-i":      {{"can-i", "invoke", "echo"}},
	"uninstall":  {{"uninstall"}, {"uninstall", "--force-finalizers", "--yes"}},
	"version":    {{"version"}},
	"completion": {{cobra.ShellCompRequestCmd, "invoke", "press-3", ""}},
}

func TestNoCommandPrintsForeignTextThatActsOnATerminal(t *testing.T) {
	for _, cmd := range newRoot(&tool{access: newClusterAccess(io.Discard), now: time.Now}).Commands() {
		if len(foreignCommands[cmd.Name()]) == 0 {
			t.Errorf("command %q has no row here", cmd.Name())
		}
	}
	quoted, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	for _, refuse := range []bool{false, true} {
		for _, phase := range []v1alpha1.DispatchPhase{v1alpha1.DispatchSucceeded, v1alpha1.DispatchFailed} {
			kubeconfig := serveHostile(t, hostileObjects(phase, string(quoted)), refuse)
			for _, lines := range foreignCommands {
				for _, args := range lines {
					for _, format := range [][]string{nil, {"-o", "json"}, {"-o", "yaml"}} {
						if format != nil && args[0] == cobra.ShellCompRequestCmd {
							continue
						}
						all := append(append([]string{}, args...), format...)
						t.Run(fmt.Sprintf("%.60q refused %t %s", all, refuse, phase), func(t *testing.T) {
							t.Setenv("KUBECONFIG", kubeconfig)
							shown := onTerminal(t, func(tty *os.File) {
								var errOut bytes.Buffer
								Main(t.Context(), all, strings.NewReader(""), tty, &errOut)
								_, _ = tty.Write(errOut.Bytes())
							})
							if shown == "" && !refuse {
								t.Error("nothing was printed")
							}
							corpus.CheckSafe(t, shown)
						})
					}
				}
			}
		}
	}
}

func TestAQuestionShowsNothingThatActsOnATerminal(t *testing.T) {
	for name, text := range corpus.Texts {
		var out bytes.Buffer
		q := question{answers: bufio.NewReader(strings.NewReader("n\n")), out: &out}
		q.confirm("Does the machine show " + text + "? ")
		if problem := corpus.FindProblem(out.String()); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

func TestACellOfATableIsShort(t *testing.T) {
	for name, text := range corpus.Texts {
		shown := tableText(t, []string{"A", "B"}, [][]string{{text, "end"}})
		if problem := corpus.FindProblem(shown); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
		if strings.Count(shown, "\n") != 2 || len([]rune(shown)) > 1000 {
			t.Errorf("%s: the table is %.300q", name, shown)
		}
	}
}

func TestRawOutputGoesIntoAPipeOrWhereItIsAskedFor(t *testing.T) {
	const text = "a\u202e\nb\u009b"
	encoded, _ := json.Marshal(text)
	for name, c := range map[string]struct {
		terminal, raw bool
		output, want  string
	}{
		"a text into a pipe":              {false, false, string(encoded), string(encoded) + "\n"},
		"a raw text into a pipe":          {false, true, string(encoded), text},
		"a raw text on a terminal":        {true, true, string(encoded), text},
		"a text of lines on a terminal":   {true, false, string(encoded), "  | a\uFFFD\n  | b\uFFFD\n"},
		"a short text on a terminal":      {true, false, `"a \u003e b"`, "\"a > b\"\n"},
		"an object on a terminal":         {true, false, "{\"a\":\"\u202e>\"}", "{\n  \"a\": \"\\u202e>\"\n}\n"},
		"an object into a pipe":           {false, false, "{\"a\":\"\u202e\"}", "{\n  \"a\": \"\u202e\"\n}\n"},
		"a raw object":                    {true, true, `{"a":1}`, "{\"a\":1}\n"},
		"null is no text":                 {true, true, `null`, "null\n"},
		"a text that looks like our word": {true, false, `"error: it failed"`, "\"error: it failed\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			if c.terminal {
				got = onTerminal(t, func(tty *os.File) {
					tool := &tool{}
					tool.Out = tty
					if err := tool.printOutput([]byte(c.output), c.raw); err != nil {
						t.Error(err)
					}
				})
			} else {
				var out bytes.Buffer
				tool := &tool{}
				tool.Out = &out
				if err := tool.printOutput([]byte(c.output), c.raw); err != nil {
					t.Error(err)
				}
				got = out.String()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
