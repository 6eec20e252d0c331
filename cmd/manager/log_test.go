package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/internal/foreign/corpus"
)

func TestTheManagersLogHoldsNothingThatActsOnATerminal(t *testing.T) {
	for name, text := range corpus.Texts {
		var out bytes.Buffer
		log := newLogger(slog.LevelDebug, &out).WithName(text).WithValues("given", text)
		log.Info(text, "text", text, "list", []string{text}, "map", map[string]string{text: text}, "key", types.NamespacedName{Namespace: text, Name: text},
			"nested", struct{ Text any }{text}, "bytes", []byte(text))
		log.Error(errors.New(text), text, "errors", []error{errors.New(text)})
		for line := range strings.Lines(out.String()) {
			if problem := corpus.FindProblem(line); problem != "" {
				t.Errorf("%s: %s in %.400q", name, problem, line)
			}
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Errorf("%s: the line is not valid JSON: %v", name, err)
			}
			// A program that decodes the log may show these fields to people.
			for _, field := range []string{"text", "given", "err"} {
				if value, ok := fields[field].(string); ok && corpus.FindProblem(value) != "" {
					t.Errorf("%s: field %s: %s", name, field, corpus.FindProblem(value))
				}
			}
		}
		if lines := strings.Count(out.String(), "\n"); lines != 2 {
			t.Errorf("%s: two records are %d lines", name, lines)
		}

		p := newProbes()
		p.set("gate", func() error { return errors.New(text) })
		answer := httptest.NewRecorder()
		p.handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if problem := corpus.FindProblem(answer.Body.String()); problem != "" {
			t.Errorf("%s: /readyz: %s", name, problem)
		}
	}
}
