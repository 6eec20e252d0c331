package pairing

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

func TestPairingDecisionsAreLoggedAtDebugOnlyAndWithoutSecrets(t *testing.T) {
	for level, logged := range map[slog.Level]bool{slog.LevelDebug: true, slog.LevelInfo: false} {
		lines := &bytes.Buffer{}
		a := startAttempt(t, newOneCode(), keyOfBox, "123456")
		a.options.Log = logr.FromSlogHandler(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: level}))
		again := exchange{lookupID: "ZZZZZZ"}
		if _, err := a.startExchange(t.Context(), &again); err != nil {
			t.Fatal(err)
		}
		if _, err := a.verifyAttempt(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx := peer.WithConnection(t.Context(), a.connection)
		if _, err := a.BeginPairingSession(ctx, &gatewayv1.BeginPairingSessionRequest{LookupId: "ZZZZZZ"}); err == nil {
			t.Fatal("an exchange without a share begins")
		}
		if _, err := a.CompletePairingSession(ctx, &gatewayv1.CompletePairingSessionRequest{}); err == nil {
			t.Fatal("a call without evidence is accepted")
		}
		for _, message := range []string{"pairing code is usable", "pairing confirmed", "pairing exchange refused", "pairing refused"} {
			if got := strings.Contains(lines.String(), `"msg":"`+message+`"`); got != logged {
				t.Errorf("at %s: %q is logged: %t, want %t:\n%s", level, message, got, logged, lines)
			}
		}
		for _, secret := range []string{"123456", hex.EncodeToString(a.confirmation), hex.EncodeToString(a.begun.share)} {
			if strings.Contains(lines.String(), secret) {
				t.Errorf("the log holds a secret:\n%s", lines)
			}
		}
	}
}
