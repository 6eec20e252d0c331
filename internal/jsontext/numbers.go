package jsontext

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// The API server keeps whole numbers of int64 exactly and converts every other number to float64.
// It then stores 18446744073709551615 as 18446744073709552000 without a warning.

// floatExactLimit is the bound below which float64 keeps every whole number. The fraction of a
// smaller number has the precision of float64, as in every JSON reader.
const floatExactLimit = 1 << 53

// FindRounded returns the first number of a JSON text that an API server would store as another
// one, or "". Such a number is at least 2^53 and exact neither in int64 nor in float64, or is too
// large for float64, or would become 0.
func FindRounded(text []byte) string {
	return findNumber(text, func(number string) bool {
		if _, err := strconv.ParseInt(number, 10, 64); err == nil {
			return false
		}
		value, err := strconv.ParseFloat(number, 64)
		written := parseDecimal(number)
		switch {
		case err != nil:
			return true
		case value == 0:
			return written.digits != ""
		case math.Abs(value) < floatExactLimit:
			return false
		}
		return parseDecimal(strconv.FormatFloat(value, 'e', -1, 64)) != written
	})
}

// FindBeyondInt64 returns the first number of a JSON text that is beyond the range of int64, or "".
// Whether such a number in a stored object was rounded cannot be determined any more.
func FindBeyondInt64(text []byte) string {
	return findNumber(text, func(number string) bool {
		if _, err := strconv.ParseInt(number, 10, 64); err == nil {
			return false
		}
		value, err := strconv.ParseFloat(number, 64)
		return err != nil || value >= 1<<63 || value <= -1<<63
	})
}

// maxExactDigits is the length up to which a number without an exponent is always kept exactly.
const maxExactDigits = 15

// findNumber returns the first number outside strings that match accepts. It examines only numbers
// that are long or have an exponent.
func findNumber(text []byte, match func(string) bool) string {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			i = stringEnd(text, i+1)
		case c == '-' || (c >= '0' && c <= '9'):
			end := i + 1
			for end < len(text) && strings.IndexByte("0123456789+-.eE", text[end]) >= 0 {
				end++
			}
			number := text[i:end]
			if (len(number) > maxExactDigits || bytes.ContainsAny(number, "eE")) && match(string(number)) {
				return string(number)
			}
			i = end
		default:
			i++
		}
	}
	return ""
}

// stringEnd returns the index after the quote that ends a string.
func stringEnd(text []byte, i int) int {
	for ; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return i
}

// decimal is a number as 0.digits times ten to the exponent; zero has no digits.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

// parseDecimal reads a number in the range of float64, so its exponent is small or it has many
// digits.
func parseDecimal(number string) decimal {
	number, negative := strings.CutPrefix(number, "-")
	mantissa, exponent := number, 0
	if at := strings.IndexAny(number, "eE"); at >= 0 {
		mantissa = number[:at]
		exponent, _ = strconv.Atoi(number[at+1:]) // out of range only for zero
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exponent += len(whole)
	digits := whole + fraction
	trimmed := strings.TrimLeft(digits, "0")
	exponent -= len(digits) - len(trimmed)
	trimmed = strings.TrimRight(trimmed, "0")
	if trimmed == "" {
		return decimal{}
	}
	return decimal{negative, trimmed, exponent}
}
