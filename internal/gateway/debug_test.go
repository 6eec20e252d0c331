package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

func TestEachDecisionAboutACallIsLoggedAtDebugOnly(t *testing.T) {
	refusal := status.Error(codes.PermissionDenied, "the node is revoked")
	for name, tt := range map[string]struct {
		level   slog.Level
		refusal error
		want    []string // parts of the log
	}{
		"authorized":         {slog.LevelDebug, nil, []string{`"msg":"call authorized"`, `"node":"` + robot.Node + `"`}},
		"denied":             {slog.LevelDebug, refusal, []string{`"msg":"call denied"`, `the node is revoked`}},
		"authorized at info": {slog.LevelInfo, nil, nil},
		"denied at info":     {slog.LevelInfo, refusal, nil},
	} {
		t.Run(name, func(t *testing.T) {
			lines := &bytes.Buffer{}
			r := startGateway(t, func(_ *testGateway, o *Options) {
				o.Log = logr.FromSlogHandler(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: tt.level}))
				o.Authorizer = authorizer(func(context.Context, peer.Identity) error { return tt.refusal })
			})
			client := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, robot))
			if _, err := client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); (status.Code(err) == codes.PermissionDenied) != (tt.refusal != nil) {
				t.Errorf("the call returned %v", err)
			}
			r.stop()
			for _, part := range tt.want {
				if !strings.Contains(lines.String(), part) {
					t.Errorf("the log lacks %s:\n%s", part, lines)
				}
			}
			if tt.want == nil && strings.Contains(lines.String(), `"msg":"call `) {
				t.Errorf("debug lines at info:\n%s", lines)
			}
		})
	}
}
