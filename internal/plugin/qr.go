package plugin

import (
	"fmt"
	"io"
	"os"
	"strings"

	qrcode "github.com/piglig/go-qr"
	"golang.org/x/term"
)

const (
	// quietZone is the light border in modules that scanners need (ISO/IEC 18004).
	quietZone = 4
	// pngScale is the size of a module in pixels: about 450 pixels a side in all.
	pngScale = 8

	// Black on white in the 256 colours that themes leave alone: scanners want dark
	// on light, whatever the terminal's own colours are.
	blackOnWhite = "\x1b[38;5;16;48;5;231m"
	resetColours = "\x1b[0m"
)

// picture is a QR code with its border.
type picture struct{ code *qrcode.QrCode }

// newPicture draws text. The lowest level of error correction makes the smallest
// picture; a screen has no scratches.
func newPicture(text string) (picture, error) {
	code, err := qrcode.EncodeText(text, qrcode.Low)
	if err != nil {
		return picture{}, fmt.Errorf("draw the QR code: %w", err)
	}
	return picture{code}, nil
}

// width is the number of columns and, twice as many as there are lines, of modules.
func (p picture) width() int { return p.code.Size() + 2*quietZone }

// dark reports whether a module is dark; those of the border are not.
func (p picture) dark(x, y int) bool { return p.code.Module(x-quietZone, y-quietZone) }

// text draws two modules in each character. Without colours light is drawn and dark
// left out, which is right where light text stands on a dark ground.
func (p picture) text(colours bool) string {
	var out strings.Builder
	for y := 0; y < p.width(); y += 2 {
		if colours {
			out.WriteString(blackOnWhite)
		}
		for x := range p.width() {
			upper, lower := p.dark(x, y), p.dark(x, y+1)
			if !colours {
				upper, lower = !upper, !lower
			}
			out.WriteString(halves(upper, lower))
		}
		if colours {
			out.WriteString(resetColours)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func halves(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	default:
		return " "
	}
}

func (p picture) png(w io.Writer) error {
	return p.code.WriteAsPNG(qrcode.NewQrCodeImgConfig(pngScale, quietZone), w)
}

// show draws the picture for the person at out.
func (p picture) show(out io.Writer) error {
	text := p.text(false)
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		text = p.text(os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 && columns < p.width() {
			text = fmt.Sprintf("The QR code needs %d columns and the terminal has %d: make it wider, or write the picture to a file with --png FILE.\n", p.width(), columns)
		}
	}
	_, err := fmt.Fprintln(out, text)
	return err
}
