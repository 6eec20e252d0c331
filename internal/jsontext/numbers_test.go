package jsontext

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"
)

func TestNumbersThatAnAPIServerDoesNotKeepAreFound(t *testing.T) {
	for _, c := range []struct {
		number          string
		rounded, beyond bool
	}{
		{"0", false, false}, {"-0", false, false}, {"-0.0", false, false}, {"1.0", false, false}, {"0e-999999999999999999999", false, false},
		{"9007199254740993", false, false}, {"9223372036854775807", false, false}, {"-9223372036854775808", false, false},
		{"9223372036854775808", true, true}, {"-9223372036854775809", true, true}, {"18446744073709551615", true, true},
		{"18446744073709551616", true, true}, {"1.8446744073709551615e19", true, true}, {"18446744073709552000", false, true},
		{"9007199254740993.5", true, false}, {"9007199254740993.0", true, false}, {"9007199254740992.0", false, false},
		{"1e20", false, true}, {"100000000000000000000", false, true}, {"6.02e23", false, true}, {"1e3", false, false}, {"1E+18", false, false},
		{"0.1", false, false}, {"3.14159265358979323846", false, false}, {"1e400", true, true}, {"-1e400", true, true}, {"1e-400", true, false},
		{"123456789012345678901234567890", true, true}, {"5e-324", false, false},
	} {
		for _, around := range []string{"%s", " [1, %s]", `{"a\"1e400":{"b":%s}}`, `{"1e400":%s,"c":"18446744073709551615"}`} {
			text := []byte(fmt.Sprintf(around, c.number))
			if got := FindRounded(text); (got == c.number) != c.rounded || (got != "") != c.rounded {
				t.Errorf("%s: rounded %q, want %t", text, got, c.rounded)
			}
			if got := FindBeyondInt64(text); (got == c.number) != c.beyond || (got != "") != c.beyond {
				t.Errorf("%s: beyond int64 %q, want %t", text, got, c.beyond)
			}
		}
	}
}

// FuzzRounded checks that a whole number that [FindRounded] does not report survives a decoder like
// the API server's.
func FuzzRounded(f *testing.F) {
	for _, seed := range []string{"18446744073709551615", "1e20", "-9223372036854775808", "12345678901234567890e-1", "0.00001e25"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, number string) {
		if len(number) > 400 || strings.TrimLeft(number, "-0123456789.eE+") != "" || !json.Valid([]byte(number)) || FindRounded([]byte(number)) != "" {
			return
		}
		if _, err := strconv.ParseInt(number, 10, 64); err == nil {
			return
		}
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatalf("%s: %v", number, err)
		}
		written, ok := new(big.Rat).SetString(number)
		if !ok || !written.IsInt() {
			return
		}
		stored, _ := new(big.Rat).SetString(strconv.FormatFloat(value, 'e', -1, 64))
		if stored.Cmp(written) != 0 {
			t.Errorf("%s is stored as %s", number, stored)
		}
	})
}
