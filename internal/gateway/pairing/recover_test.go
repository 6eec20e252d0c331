package pairing

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// A certificate that stays valid by the gateway's clock is expired only for a machine whose clock is
// ahead. The refusal carries the time to compare with, and the log shows by how much the clock is
// ahead at least.
func TestARecoveryOfACertificateThatIsValidIsRefusedWithTheTime(t *testing.T) {
	for name, tt := range map[string]struct {
		validFor time.Duration // by the gateway's clock
		logged   string        // empty if the recovery goes on
	}{
		"expired long ago":           {-29 * 24 * time.Hour, ""},
		"expires now":                {0, ""},
		"at the end of the leeway":   {identity.NotBeforeLeeway, ""},
		"a second beyond the leeway": {identity.NotBeforeLeeway + time.Second, `"validFor":"10m1s"`},
		"two days":                   {48 * time.Hour, `"validFor":"48h0m0s"`},
	} {
		t.Run(name, func(t *testing.T) {
			lines := &bytes.Buffer{}
			zone := time.FixedZone("", 3600) // the refusal is in UTC, whatever the zone of the gateway
			s := New(Options{Clock: clocktesting.NewFakePassiveClock(testTime.In(zone)), Log: logr.FromSlogHandler(slog.NewJSONHandler(lines, nil))})
			err := s.checkExpired(identity.Peer{ID: identity.ID{Namespace: "fleet", Node: "box"}, Certificate: &x509.Certificate{NotAfter: testTime.Add(tt.validFor)}})
			if tt.logged == "" {
				if err != nil || lines.Len() > 0 {
					t.Errorf("checkExpired() = %v, and logs %q", err, lines)
				}
				return
			}
			for _, want := range []string{tt.logged, "its clock is ahead", `"namespace":"fleet"`, `"node":"box"`} {
				if !strings.Contains(lines.String(), want) {
					t.Errorf("the log has no %s: %s", want, lines)
				}
			}
			checkNotExpiredRefusal(t, err, testTime.Add(tt.validFor))
		})
	}
}

// checkNotExpiredRefusal checks the refusal of a certificate that is valid until end.
func checkNotExpiredRefusal(t *testing.T, err error, end time.Time) {
	t.Helper()
	refused := status.Convert(err)
	if refused.Code() != codes.FailedPrecondition || len(refused.Details()) != 1 {
		t.Fatalf("the refusal is %v with %v, want FailedPrecondition with one reason", err, refused.Details())
	}
	now := testTime.Format(time.RFC3339)
	info, ok := refused.Details()[0].(*errdetails.ErrorInfo)
	if !ok || info.GetReason() != gatewayv1.ReasonCertificateNotExpired || info.GetMetadata()[gatewayv1.MetadataGatewayTime] != now {
		t.Errorf("the reason is %v, want %s at %s", refused.Details()[0], gatewayv1.ReasonCertificateNotExpired, now)
	}
	for _, want := range []string{"valid until " + end.Format(time.RFC3339), "it is " + now + " now", "the clock of the machine is ahead"} {
		if !strings.Contains(refused.Message(), want) {
			t.Errorf("the refusal has no %q: %s", want, refused.Message())
		}
	}
}
