package plugin

import (
	"bytes"
	"image"
	"image/color"
	_ "image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	qrcode "github.com/piglig/go-qr"

	"github.com/mooring-dev/mooring/internal/pairing"
)

// longInvitation is as long as host names make it in practice.
var longInvitation = pairing.Invitation{
	Gateway:  strings.Repeat("a-long-label.", 6) + "gateway.example.com:7443",
	LookupID: "K7QX2M", Secret: "5d1f0c8ba37e42961c0d9f3b7a2e6458", CASHA256: fingerprint,
}.String()

// photograph returns a drawn picture as a camera sees it. The ink of a character has one colour,
// the background another, and each half of a character is one module.
func photograph(t *testing.T, text string, ink, ground color.Gray) image.Image {
	t.Helper()
	const scale = 6
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	seen := image.NewGray(image.Rect(0, 0, len([]rune(lines[0]))*scale, 2*len(lines)*scale))
	for row, line := range lines {
		for column, char := range []rune(line) {
			for half, inked := range map[int]bool{0: char == '█' || char == '▀', 1: char == '█' || char == '▄'} {
				shade := ground
				if inked {
					shade = ink
				}
				for y := range scale {
					for x := range scale {
						seen.SetGray(column*scale+x, (2*row+half)*scale+y, shade)
					}
				}
			}
		}
	}
	return seen
}

func TestADrawnCodeCanBeScanned(t *testing.T) {
	black, white := color.Gray{}, color.Gray{Y: 255}
	for _, uri := range []string{"mooring://pair?gateway=gw.example:7443&code=K7QX2M", longInvitation} {
		drawn, err := newPicture(uri)
		if err != nil {
			t.Fatal(err)
		}
		coloured := drawn.text(true)
		for line := range strings.Lines(coloured) {
			if !strings.HasPrefix(line, blackOnWhite) || !strings.HasSuffix(line, resetColours+"\n") {
				t.Fatalf("a line does not bring its own colours: %q", line)
			}
		}
		coloured = strings.NewReplacer(blackOnWhite, "", resetColours, "").Replace(coloured)
		for name, seen := range map[string]image.Image{
			"in colours":               photograph(t, coloured, black, white),
			"light on dark, no colour": photograph(t, drawn.text(false), white, black),
		} {
			if got, err := qrcode.Decode(seen); err != nil || got != uri {
				t.Errorf("%s: read %q, error %v, want %q", name, got, err, uri)
			}
		}
	}
}

func TestADrawnCodeHasAQuietZoneAndFitsATerminal(t *testing.T) {
	drawn, err := newPicture(longInvitation)
	if err != nil {
		t.Fatal(err)
	}
	if drawn.width() > 80 {
		t.Errorf("the longest usual URI needs %d columns", drawn.width())
	}
	for i := range drawn.width() {
		for edge := range quietZone {
			far := drawn.width() - 1 - edge
			if drawn.dark(i, edge) || drawn.dark(i, far) || drawn.dark(edge, i) || drawn.dark(far, i) {
				t.Fatalf("module %d of border %d is dark", i, edge)
			}
		}
	}
}

func TestAPictureFileIsForItsOwnerAndReplacesNothingByItself(t *testing.T) {
	drawn, err := newPicture(longInvitation)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "code.png")
	file, err := newPNGFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.write(drawn.png); err != nil {
		t.Fatal(err)
	}
	checkPicture(t, path, longInvitation)
	if _, err := newPNGFile(path, false); exitCode(err) != exitUsage || !strings.Contains(err.Error(), "--force") {
		t.Errorf("a second one: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	second, err := newPNGFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	checkContent(t, path, longInvitation) // unchanged until the new one is complete
	other, err := newPicture("mooring://pair?other")
	if err != nil {
		t.Fatal(err)
	}
	if err := second.write(other.png); err != nil {
		t.Fatal(err)
	}
	checkPicture(t, path, "mooring://pair?other")
}

func TestADiscardedPictureFileLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	for _, force := range []bool{false, true} {
		file, err := newPNGFile(filepath.Join(dir, "code.png"), force)
		if err != nil {
			t.Fatal(err)
		}
		file.discard()
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, error %v", left, err)
	}
	(*pngFile)(nil).discard()
}

func checkPicture(t *testing.T, path, want string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, want 0600", info.Mode())
	}
	checkContent(t, path, want)
}

func checkContent(t *testing.T, path, want string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := qrcode.Decode(seen); err != nil || got != want {
		t.Errorf("read %q, error %v, want %q", got, err, want)
	}
}
