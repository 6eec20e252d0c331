package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Client calls the supervisor of one state directory.
type Client struct {
	dir  string
	http *http.Client
}

// NewClient returns a client that has no connection yet. It has no timeout: the contexts of the
// calls have deadlines.
func NewClient(dir string) *Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) },
		// A new supervisor may replace the old one behind the same path.
		DisableKeepAlives: true,
	}
	return &Client{dir: dir, http: &http.Client{Transport: transport}}
}

// Status returns the state of the cluster; ErrNotRunning when no supervisor answers.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var status Status
	err := c.call(ctx, http.MethodGet, "/status", &status)
	return status, err
}

// Start starts a component and returns when it is ready.
func (c *Client) Start(ctx context.Context, component string) error {
	return c.call(ctx, http.MethodPost, "/components/"+component+"/start", nil)
}

// Stop stops a component and returns when its process has ended; kill means SIGKILL.
func (c *Client) Stop(ctx context.Context, component string, kill bool) error {
	path := "/components/" + component + "/stop"
	if kill {
		path += "?kill"
	}
	return c.call(ctx, http.MethodPost, path, nil)
}

// Shutdown makes the supervisor stop everything and end. It returns when the stop has begun.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/shutdown", nil)
}

func (c *Client) call(ctx context.Context, method, path string, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, nil)
	if err != nil {
		return fmt.Errorf("call supervisor: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		// No supervisor listens, or it ended during the call.
		if ctx.Err() == nil {
			return fmt.Errorf("%w in %s: start it with localcluster up (%w)", ErrNotRunning, c.dir, err)
		}
		return fmt.Errorf("call supervisor: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("read answer of supervisor: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(data)))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("decode answer of supervisor: %w", err)
	}
	return nil
}
