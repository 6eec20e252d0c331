package certificates

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestTheBudgetOfCertificateRequestsIsTheOneInTheReference(t *testing.T) {
	page, err := os.ReadFile("../../../docs/reference/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	figures := fmt.Sprintf("%d, %d s", requestBurst, requestInterval/time.Second)
	for _, want := range []string{
		"| certificate requests of one Node at once, then one every | " + figures + " | |",
		"| certificate requests (" + figures + ") |", // in the table of the calls of a Node
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/reference/limits.md has no %s", want)
		}
	}
}
