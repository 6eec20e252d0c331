package denial_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
)

func reasonsOf(err error) (reasons []string) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == gatewayv1.ErrorDomain {
			reasons = append(reasons, info.GetReason())
		}
	}
	return reasons
}

func TestADenialHasOneReason(t *testing.T) {
	limited := denial.RateLimited(time.Second, "wait")
	replaced := denial.WithReason(status.Convert(limited), gatewayv1.ReasonCodeVerified, map[string]string{"key": "value"})
	for name, c := range map[string]struct {
		err     error
		code    codes.Code
		reason  string
		details int
	}{
		"New":          {denial.New(codes.PermissionDenied, gatewayv1.ReasonNodeRevoked, "m"), codes.PermissionDenied, "NODE_REVOKED", 1},
		"Newf":         {denial.Newf(codes.NotFound, gatewayv1.ReasonNodeNotFound, "%d", 1), codes.NotFound, "NODE_NOT_FOUND", 1},
		"rate limited": {limited, codes.ResourceExhausted, "RATE_LIMITED", 2},
		"replaced":     {replaced.Err(), codes.ResourceExhausted, "CODE_VERIFIED", 2},
	} {
		reasons := reasonsOf(c.err)
		if status.Code(c.err) != c.code || !slices.Equal(reasons, []string{c.reason}) || len(status.Convert(c.err).Details()) != c.details {
			t.Errorf("%s: %v with the reasons %v", name, c.err, reasons)
		}
	}
}

// TestEveryDenialHasAReason reads the code of the gateway: outside of this package, a status is made
// directly only with a code that a broken network causes.
func TestEveryDenialHasAReason(t *testing.T) {
	files := token.NewFileSet()
	denials := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, filepath.Join("..", "denial")) {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch at := files.Position(call.Pos()); selector(call.Fun) {
			case "status.Error", "status.Errorf", "status.New", "status.Newf":
				if code := selector(call.Args[0]); code != "codes.Canceled" && code != "codes.DeadlineExceeded" {
					t.Errorf("%s: a denial with %s has no reason; use package denial", at, code)
				}
			case "denial.New", "denial.Newf":
				denials++
				code, reason := selector(call.Args[0]), selector(call.Args[1])
				if !strings.HasPrefix(reason, "gatewayv1.Reason") {
					t.Errorf("%s: the reason of a denial is not a constant of gatewayv1", at)
				}
				if code == "codes.Canceled" || code == "codes.DeadlineExceeded" {
					t.Errorf("%s: an agent would not take %s for a broken network any more", at, code)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if denials < 50 {
		t.Errorf("found %d denials; does the test still find them?", denials)
	}
}

// selector returns "a.b" for the expression a.b, and an empty string for others.
func selector(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + s.Sel.Name
}
