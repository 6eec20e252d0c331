package gateway

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(stormVariable) != "" {
		os.Exit(runStorm(os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}
