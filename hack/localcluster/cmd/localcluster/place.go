package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/build"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/control"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
)

// locationFlags holds the flags of every command that locate the repository and the state.
type locationFlags struct {
	root  string
	state string
}

func (p *locationFlags) register(command *cobra.Command) {
	flags := command.PersistentFlags()
	flags.StringVar(&p.root, "root", "", "repository root (default: the one around the current directory)")
	flags.StringVar(&p.state, "state", "", "state directory of the cluster (default ROOT/.local/cluster)")
}

func (p *locationFlags) builder(progress io.Writer) (build.Builder, error) {
	root := p.root
	if root == "" {
		current, err := os.Getwd()
		if err != nil {
			return build.Builder{}, fmt.Errorf("find current directory: %w", err)
		}
		if root, err = build.FindRoot(current); err != nil {
			return build.Builder{}, err
		}
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return build.Builder{}, fmt.Errorf("find repository root: %w", err)
	}
	return build.Builder{Root: root, Progress: progress}, nil
}

// dir returns the state directory and creates nothing.
func (p *locationFlags) dir() (state.Dir, error) {
	if p.state != "" {
		return state.Locate(p.state)
	}
	builder, err := p.builder(io.Discard)
	if err != nil {
		return "", err
	}
	return state.Locate(filepath.Join(builder.Root, ".local", "cluster"))
}

// client returns a client of the state directory's supervisor, which may not be running.
func (p *locationFlags) client() (*control.Client, state.Dir, error) {
	dir, err := p.dir()
	if err != nil {
		return nil, "", err
	}
	return control.NewClient(string(dir)), dir, nil
}
