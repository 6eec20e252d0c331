package session

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/transport"
)

// maxGatewayMessageBytes is the size of the largest message that a gateway accepts.
const maxGatewayMessageBytes = 512 << 10

// poison is longer than any message, and not valid UTF-8.
var poison = strings.Repeat("\xff<&>é\n", 1<<18)

// oversizedCapability is a capability whose description is too long.
type oversizedCapability struct{ name string }

func (p oversizedCapability) Name() string                    { return p.name }
func (p oversizedCapability) Description() string             { return poison }
func (p oversizedCapability) Unavailable() string             { return poison }
func (p oversizedCapability) Mediation() capability.Mediation { return capability.MediationNone }
func (p oversizedCapability) Schema() json.RawMessage {
	return []byte(`{"type":"object","description":"` + strings.Repeat("x", 4000) + `"}`)
}
func (p oversizedCapability) Run(context.Context, capability.Request) (json.RawMessage, error) {
	return nil, nil
}

// longestRef returns a dispatch with the longest names that Kubernetes allows.
func longestRef(n int) journal.Ref {
	return journal.Ref{Namespace: strings.Repeat("n", maxNamespaceBytes), Name: strings.Repeat("d", maxNameBytes), UID: fmt.Sprintf("%064d", n)}
}

func oversizedResult(output string) *gatewayv1.StreamNodeEventsRequest {
	return resultMessage(journal.Entry{Dispatch: journal.Ref{Namespace: poison, Name: poison, UID: poison}, StartedTime: time.Now(), Outcome: &journal.Outcome{
		Result: journal.Failed, Execution: journal.Ended, Output: json.RawMessage(output), ErrorCode: poison, ErrorMessage: poison, FinishedTime: time.Now()}})
}

// TestEveryMessageIsOneThatAGatewayTakes has a row for every message of the agent. Each message
// holds the longest values that its sources can produce.
func TestEveryMessageIsOneThatAGatewayTakes(t *testing.T) {
	ref := journal.Ref{Namespace: poison, Name: poison, UID: poison}
	full := make([]journal.Entry, journal.MaxUnsettled)
	for i := range full {
		full[i] = journal.Entry{Dispatch: ref, State: journal.Finished}
	}
	messages := []*gatewayv1.StreamNodeEventsRequest{
		{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: &gatewayv1.Hello{BootId: foreign.Truncate(poison, maxIDBytes), Unsettled: wireUnsettled(full)}}},
		heartbeatMessage(time.Now()),
		storedMessage(identity.Bundle{}),
		acceptedMessage(ref),
		askedMessage(ref, poison, time.Now()),
		allowedMessage(ref),
		progressMessage(ref, 100, poison),
		oversizedResult(`"` + poison + `"`),
		oversizedResult(`{"` + strings.Repeat("<", 1<<20) + `":1}`),
		oversizedResult(poison),
		changedMessage(declareMaximum(t)),
		stoppingMessage(poison),
	}
	rows := map[string]bool{}
	for _, m := range messages {
		kind := m.ProtoReflect().WhichOneof(m.ProtoReflect().Descriptor().Oneofs().ByName("message"))
		rows[string(kind.Name())] = true
		encoded, err := proto.Marshal(m)
		if err != nil || !fitsMessageLimit(m) {
			t.Errorf("%s: %d bytes, %v", kind.Name(), len(encoded), err)
		}
	}
	fields := (&gatewayv1.StreamNodeEventsRequest{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if name := string(fields.Get(i).Name()); !rows[name] {
			t.Errorf("%s has no row", name)
		}
	}
	// The largest report over polls is the largest message after messages of almost MaxReportBytes.
	if transport.MaxReportBytes+maxMessageBytes+transport.MaxReportMessages*16+maxIDBytes >= maxGatewayMessageBytes {
		t.Error("a report can be larger than a gateway accepts")
	}
	register := &gatewayv1.RegisterNodeRequest{Capabilities: declareMaximum(t), BootId: foreign.Truncate(poison, maxIDBytes)}
	if encoded, err := proto.Marshal(register); err != nil || len(encoded) > maxMessageBytes {
		t.Errorf("RegisterNode: %d bytes, %v", len(encoded), err)
	}
}

// declareMaximum lists the maximum number of capabilities, with names and schemas of full length.
func declareMaximum(t *testing.T) []*gatewayv1.Capability {
	t.Helper()
	var all []capability.Capability
	for i := range capabilityname.MaxDeclared {
		all = append(all, oversizedCapability{fmt.Sprintf("a%s%d", strings.Repeat("b", capabilityname.MaxBytes-4), i)})
	}
	registry, err := capability.NewRegistry()
	if err == nil {
		err = registry.SetOwn(all...)
	}
	if err != nil {
		t.Fatal(err)
	}
	list, _ := declareCapabilities(registry)
	if len(list) != capabilityname.MaxDeclared {
		t.Fatalf("%d capabilities are declared", len(list))
	}
	return list
}

// TestTheHelloOfAFullJournalFits verifies that a gateway accepts the Hello of a full journal with
// the longest names.
func TestTheHelloOfAFullJournalFits(t *testing.T) {
	j, err := journal.Open(journal.Options{Path: filepath.Join(t.TempDir(), "journal"), NewID: func() string { return strings.Repeat("j", 26) },
		Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	outcome := journal.Outcome{Result: journal.Succeeded, Execution: journal.Ended}
	for n := 0; err == nil; n++ {
		err = j.StoreRejection(journal.Entry{Dispatch: longestRef(n), Expires: time.Now()}, outcome)
	}
	open, err := j.Unsettled()
	if err != nil || len(open) != journal.MaxUnsettled {
		t.Fatalf("%d dispatches are open, %v", len(open), err)
	}
	hello := &gatewayv1.Hello{JournalId: j.ID(), Unsettled: wireUnsettled(open)}
	if size := proto.Size(hello); size > maxMessageBytes {
		t.Errorf("the Hello has %d bytes", size)
	}
	for i, u := range hello.GetUnsettled() {
		if refOf(u.GetDispatch()) != open[i].Dispatch {
			t.Fatalf("dispatch %d is named %v", i, u.GetDispatch())
		}
	}
}

func TestADispatchThatNoClusterHoldsIsNotTaken(t *testing.T) {
	for name, ref := range map[string]*gatewayv1.DispatchRef{
		"no name at all":       nil,
		"no UID":               {Namespace: "n", Name: "d"},
		"a UID without end":    {Namespace: "n", Name: "d", Uid: strings.Repeat("u", maxUIDBytes+1)},
		"a long name":          {Namespace: "n", Name: strings.Repeat("d", maxNameBytes+1), Uid: "u"},
		"a namespace too long": {Namespace: strings.Repeat("n", maxNamespaceBytes+1), Name: "d", Uid: "u"},
	} {
		if validRef(ref) {
			t.Errorf("%s is accepted, want a refusal", name)
		}
	}
	if !validRef(wireRef(longestRef(1))) {
		t.Error("the longest name of Kubernetes is refused")
	}
}
