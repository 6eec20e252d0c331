package pairing

import (
	"bytes"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseCodeForgivesHowPeopleWrite(t *testing.T) {
	want := Code{LookupID: "K7QX2M", PIN: "482913"}
	for name, text := range map[string]string{
		"as printed":       "K7QX2M-482913",
		"lower case":       "k7qx2m-482913",
		"no dash":          "K7QX2M482913",
		"spaces for dash":  "  k7qx2m 482913 ",
		"spaces and dash":  "K7QX2M - 482 913",
		"a newline at end": "K7QX2M-482913\r\n",
		"a BOM":            "\ufeffK7QX2M-482913",
		"en dash":          "K7QX2M\u2013482913",
		"em dash, spaces":  "K7QX2M\u00a0\u2014\u00a0482913",
		"hyphen":           "K7QX2M\u2010482913",
		"no-break hyphen":  "K7QX2M\u2011482913",
		"minus":            "K7QX2M\u2212482913",
		"soft hyphen":      "K7QX2M\u00ad482913",
		"full-width dash":  "K7QX2M\uff0d482913",
		"no-break space":   "\u00a0K7QX2M-482\u00a0913\u202f",
		"zero width":       "\u200bK7QX2M-\u2060482913\u200e",
		"line separator":   "K7QX2M-482913\u2028",
	} {
		got, err := ParseCode(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParseCodeReadsLookAlikesAsDigits(t *testing.T) {
	got, err := ParseCode("oil0AB-o1l2i3")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Code{LookupID: "0110AB", PIN: "011213"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseCodeSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":              {"", "empty"},
		"only dashes":          {" - ", "empty"},
		"too short":            {"K7QX2M-48291", "11 letters and digits, not 12"},
		"too long":             {"K7QX2M-4829133", "13 letters and digits, not 12"},
		"letters in the PIN":   {"K7QX2M-48291A", "must be digits"},
		"halves swapped":       {"482913-K7QX2M", "must be digits"},
		"U in the lookup id":   {"K7QU2M-482913", "must be 6 characters"},
		"sign in the PIN":      {"K7QX2M+48291", "must be digits"},
		"a byte that is not":   {"K7QX2M-4829\x001", "must be digits"},
		"other digits":         {"K7QX2M-४८२", "letters and digits"},
		"megabytes":            {strings.Repeat("7", 1<<20), "too long"},
		"an invitation pasted": {"mooring://pair?gateway=a:1", "letters and digits"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseCode(c.text)
			if !errors.Is(err, ErrInvalidCode) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want ErrInvalidCode with %q", err, c.want)
			}
			if got != (Code{}) {
				t.Errorf("got %v together with the error", got)
			}
		})
	}
}

func TestParseCodeNeverRepeatsWhatWasTyped(t *testing.T) {
	for _, text := range []string{"K7QX2M-735190-", "K7QX2M-73519", "K7QX2M-735190X", "U7QX2M-735190", "735190-K7QX2M"} {
		if _, err := ParseCode(text); err != nil && strings.Contains(err.Error(), "73519") {
			t.Errorf("%q: the error repeats the PIN: %v", text, err)
		}
	}
}

func TestDrawnCodesParseBackAndUseTheWholeRange(t *testing.T) {
	var ids, pins [256]bool
	for range 500 {
		id, err := NewLookupID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pin, err := NewPIN(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		want := Code{LookupID: id, PIN: pin}
		if got, err := ParseCode(want.String()); err != nil || got != want {
			t.Fatalf("%s reads back as %v, %v", want, got, err)
		}
		for i := range id {
			ids[id[i]] = true
			pins[pin[i]] = true
		}
	}
	for _, c := range []byte(alphabet) {
		if !ids[c] {
			t.Errorf("no lookup id out of 500 holds %c", c)
		}
	}
	for _, c := range []byte(digits) {
		if !pins[c] {
			t.Errorf("no PIN out of 500 holds %c", c)
		}
	}
}

func TestNewPINSkipsBytesThatWouldFavourLowDigits(t *testing.T) {
	pin, err := NewPIN(bytes.NewReader([]byte{255, 250, 249, 0, 251, 10, 19, 123, 7}))
	if err != nil || pin != "900937" {
		t.Errorf("PIN %q, %v, want 900937", pin, err)
	}
}

func TestDrawsFailWithTheirSource(t *testing.T) {
	for name, draw := range map[string]func() (string, error){
		"lookup id": func() (string, error) { return NewLookupID(bytes.NewReader(nil)) },
		"PIN":       func() (string, error) { return NewPIN(bytes.NewReader([]byte{1, 2})) },
		"QR secret": func() (string, error) { return NewQRSecret(bytes.NewReader([]byte{1, 2})) },
	} {
		if s, err := draw(); err == nil || s != "" {
			t.Errorf("%s: %q, %v, want an error", name, s, err)
		}
	}
}

func TestStructuredLogsHideTheSecret(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	code, _ := ParseCode("K7QX2M-482913")
	logger.Info("pairing", "code", code, "invitation", goodInvitation)
	if text := log.String(); strings.Contains(text, "482913") || strings.Contains(text, goodInvitation.Secret) || !strings.Contains(text, "K7QX2M") {
		t.Errorf("logged %s", text)
	}
}

func TestVerificationCodeShowsTheFirst50Bits(t *testing.T) {
	for name, c := range map[string]struct{ hash, want string }{
		"zeros":           {strings.Repeat("0", 64), "00000-00000"},
		"ones":            {strings.Repeat("f", 64), "ZZZZZ-ZZZZZ"},
		"bits in order":   {"08421084210842" + strings.Repeat("0", 50), "11111-11111"},
		"the 50th bit":    {"000000000000" + "40" + strings.Repeat("0", 50), "00000-00001"},
		"the 51st bit":    {"000000000000" + "20" + strings.Repeat("0", 50), "00000-00000"},
		"upper case":      {strings.Repeat("F", 64), ""},
		"short":           {strings.Repeat("0", 63), ""},
		"not hexadecimal": {strings.Repeat("g", 64), ""},
		"nothing":         {"", ""},
	} {
		if got := VerificationCode(c.hash); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestEveryCodePersonCanTypeReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Code{
			LookupID: rapid.StringMatching(`[0-9A-HJKMNP-TV-Z]{6}`).Draw(t, "lookup id"),
			PIN:      rapid.StringMatching(`[0-9]{6}`).Draw(t, "pin"),
		}
		text := want.String()
		if rapid.Bool().Draw(t, "lower") {
			text = strings.ToLower(text)
		}
		if got, err := ParseCode(text); err != nil || got != want {
			t.Fatalf("%q reads as %v, %v", text, got, err)
		}
	})
}

func FuzzParseCode(f *testing.F) {
	for _, seed := range []string{"K7QX2M-482913", "k7qx2m 482913", "oil0AB-o1l2i3", "", "-", "K7QX2M-48291\x00", "ſſſſſſ-482913"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		code, err := ParseCode(text)
		if err != nil {
			if !errors.Is(err, ErrInvalidCode) || code != (Code{}) {
				t.Fatalf("%q: %v, %v", text, code, err)
			}
			return
		}
		if again, err := ParseCode(code.String()); err != nil || again != code {
			t.Fatalf("%q reads as %v, which reads as %v, %v", text, code, again, err)
		}
	})
}
