package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// counts holds the API writes since the API server started, by "VERB resource/subresource".
type counts map[string]float64

// readWrites reads the writes of apiserver_request_total, failed ones too.
func (w *system) readWrites(ctx context.Context) (counts, error) {
	return w.readWritesWithCode(ctx, "")
}

// readStoredWrites reads the writes that succeeded.
func (w *system) readStoredWrites(ctx context.Context) (counts, error) {
	return w.readWritesWithCode(ctx, "2")
}

// readWritesWithCode reads the writes whose HTTP status begins with code.
func (w *system) readWritesWithCode(ctx context.Context, code string) (counts, error) {
	text, err := fetchMetrics(ctx, w.api, strings.TrimRight(w.Cluster.AdminConfig().Host, "/")+"/metrics")
	if err != nil {
		return nil, err
	}
	return parseWrites(text, code)
}

// parseWrites sums the writes in the metrics of an API server. It leaves out the deletion of a
// collection: that is the slow end of a Namespace with the machines of an earlier row.
func parseWrites(text, code string) (counts, error) {
	all := counts{}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "apiserver_request_total{") || metricLabel(line, "dry_run") != "" || !strings.HasPrefix(metricLabel(line, "code"), code) {
			continue
		}
		switch verb := metricLabel(line, "verb"); verb {
		case "POST", "PUT", "PATCH", "APPLY", "DELETE":
			if verb == "DELETE" && metricLabel(line, "scope") != "resource" {
				continue
			}
			var value float64
			if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &value); err != nil {
				return nil, fmt.Errorf("read %q: %w", line, err)
			}
			resource := metricLabel(line, "resource")
			if sub := metricLabel(line, "subresource"); sub != "" {
				resource += "/" + sub
			}
			all[verb+" "+resource] += value
		}
	}
	return all, nil
}

// since returns the counts that were added after an earlier reading.
func (c counts) since(earlier counts) counts {
	delta := counts{}
	for key, n := range c {
		if n != earlier[key] {
			delta[key] = n - earlier[key]
		}
	}
	return delta
}

// ofResource returns the sum over the verbs of one resource.
func (c counts) ofResource(resource string) (sum float64) {
	for key, n := range c {
		if strings.HasSuffix(key, " "+resource) {
			sum += n
		}
	}
	return sum
}

func (c counts) total() (sum float64) {
	for _, n := range c {
		sum += n
	}
	return sum
}

// String lists the counts in the order of their keys.
func (c counts) String() string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(c)) {
		format := "%s %.3g"
		if c[key] >= 100 {
			format = "%s %.0f" // without an exponent
		}
		parts = append(parts, fmt.Sprintf(format, key, c[key]))
	}
	return strings.Join(parts, ", ")
}

// fetchMetrics reads the metrics page of a process.
func fetchMetrics(ctx context.Context, c *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return string(body), err
}

func metricLabel(line, name string) string {
	_, rest, found := strings.Cut(line, ","+name+`="`)
	if !found {
		_, rest, _ = strings.Cut(line, "{"+name+`="`)
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
