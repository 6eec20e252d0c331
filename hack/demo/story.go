package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mooring-dev/mooring/hack/dev/stack"
)

const (
	fleet    = "workshop"
	nodeName = "this-machine"
	// patience bounds each wait of the story; a warm run takes a few seconds in total.
	patience = 90 * time.Second
)

// runStory runs the story once in a temporary state and stops everything, also after Ctrl-C.
func runStory(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "mooring-demo-")
	if err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	defer os.RemoveAll(dir)
	n := &narrator{began: time.Now()}
	n.startStep("Start a control plane, the controller and a gateway, each under its own rights")
	s, err := startSystem(ctx, o, dir, n)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := runChapters(ctx, s, n); err != nil {
		return err
	}
	n.startStep("All of it happened. Stopping everything")
	s.Close()
	fmt.Printf("\ndemo: done in %.1f s\n", time.Since(n.began).Seconds())
	return nil
}

// startSystem starts the system and creates the fleet with its three people.
func startSystem(ctx context.Context, o options, dir string, n *narrator) (*stack.Stack, error) {
	// The control plane's tools search for the checkout around the current directory.
	if err := os.Chdir(o.root); err != nil {
		return nil, fmt.Errorf("enter the checkout: %w", err)
	}
	s, err := stack.Start(ctx, stack.Options{
		Root: o.root, Dir: dir, Kubeconfig: o.kubeconfig, Gateways: 1, Progress: func(line string) { n.printNote("%s", line) },
	})
	if err != nil {
		return nil, err
	}
	if out, err := s.KubectlInput(ctx, stack.Admin, fleetYAML, "apply", "-f", "-"); err != nil {
		s.Close()
		return nil, fmt.Errorf("make the fleet: %w\n%s", err, out)
	}
	return s, nil
}

func runChapters(ctx context.Context, s *stack.Stack, n *narrator) error {
	code, err := issueCode(ctx, s, n)
	if err != nil {
		return err
	}
	agent, verification, err := startAgent(ctx, s, n, code)
	if err != nil {
		return err
	}
	if err := approve(ctx, s, n, agent, verification); err != nil {
		return err
	}
	if err := runManifests(ctx, s, n); err != nil {
		return err
	}
	return showRefusal(ctx, s, n)
}

func issueCode(ctx context.Context, s *stack.Stack, n *narrator) (string, error) {
	n.startStep("ida, who may only issue codes, makes one")
	argv := []string{"kubectl", "mooring", "code", "--name", nodeName, "-n", fleet, "-o", "json"}
	out, err := s.Run(ctx, "ida", argv...)
	if err != nil {
		return "", err
	}
	var code struct{ Code, Address, ExpiresTime string }
	if err := json.Unmarshal([]byte(out), &code); err != nil || code.Code == "" {
		return "", fmt.Errorf("read the code from %q: %w", out, errors.Join(err, errNoCode))
	}
	n.printCommand("ida", argv, out)
	return code.Code, nil
}

var errNoCode = errors.New("the answer has no code")

func startAgent(ctx context.Context, s *stack.Stack, n *narrator, code string) (*stack.Process, string, error) {
	n.startStep("This machine pairs with it; its key is made here and never leaves")
	agent, err := s.StartAgent("agent", "--code", code)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := agent.WaitFor(ctx, "Waiting for approval"); err != nil {
		return nil, "", err
	}
	verification := restOfLine(agent.Stdout(), "Verification code: ")
	n.printCommand("machine", []string{"mooring-agent", "run", "--pairing", s.PairingEndpoint, "--code", code}, agent.Stdout())
	return agent, verification, nil
}

func approve(ctx context.Context, s *stack.Stack, n *narrator, agent *stack.Process, verification string) error {
	n.startStep("ada, who may only approve, compares the verification code and patches the request")
	list := []string{"kubectl", "get", "preq", "-n", fleet}
	out, err := s.Run(ctx, "ada", list...)
	if err != nil {
		return err
	}
	n.printCommand("ada", list, out)
	if verification == "" || !strings.Contains(out, verification) {
		return fmt.Errorf("the request does not show the machine's verification code %q", verification)
	}
	name, err := s.Run(ctx, "ada", "kubectl", "get", "preq", "-n", fleet, "-o", "jsonpath={.items[0].metadata.name}")
	if err != nil {
		return err
	}
	patch := []string{"kubectl", "patch", "preq", name, "-n", fleet, "--type=merge", "-p", `{"spec":{"decision":{"verdict":"Approved"}}}`}
	out, err = s.Run(ctx, "ada", patch...)
	if err != nil {
		return err
	}
	n.printCommand("ada", patch, out)
	return awaitOnline(ctx, s, n, agent)
}

func awaitOnline(ctx context.Context, s *stack.Stack, n *narrator, agent *stack.Process) error {
	approved := time.Now()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.WaitOnline(ctx, fleet, nodeName); err != nil {
		return fmt.Errorf("%w; the agent's last lines:\n%s", err, agent.Tail(10))
	}
	n.printNote("Online %.1f s after the approval", time.Since(approved).Seconds())
	nodes := []string{"kubectl", "get", "mnode", "-n", fleet}
	out, err := s.Run(ctx, "ivan", nodes...)
	if err != nil {
		return err
	}
	n.printCommand("ivan", nodes, out)
	return nil
}

func runManifests(ctx context.Context, s *stack.Stack, n *narrator) error {
	n.startStep("ivan, who may only invoke echo and system.*, applies two manifests")
	apply := []string{"kubectl", "apply", "-f", "dispatches.yaml"}
	out, err := s.KubectlInput(ctx, "ivan", dispatchesYAML, "apply", "-f", "-")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	n.printCommand("ivan", apply, out)
	for _, name := range []string{"say-hello", "check-health"} {
		if _, err := s.Run(ctx, "ivan", "kubectl", "wait", "cdisp/"+name, "-n", fleet, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s"); err != nil {
			return err
		}
		get := []string{"kubectl", "get", "cdisp", name, "-n", fleet, "-o", "jsonpath={.status.output}"}
		out, err := s.Run(ctx, "ivan", get...)
		if err != nil {
			return err
		}
		n.printCommand("ivan", get, out)
	}
	return checkOutputs(ctx, s, n)
}

// checkOutputs fails the story unless the machine gave the expected answers.
func checkOutputs(ctx context.Context, s *stack.Stack, n *narrator) error {
	list := []string{"kubectl", "get", "cdisp", "-n", fleet}
	out, err := s.Run(ctx, "ivan", list...)
	if err != nil {
		return err
	}
	n.printCommand("ivan", list, out)
	echoed, err := s.Run(ctx, "ivan", "kubectl", "get", "cdisp", "say-hello", "-n", fleet, "-o", "jsonpath={.status.output.text}")
	if err != nil {
		return err
	}
	if echoed != "hello from a manifest" {
		return fmt.Errorf("echo answered %q", echoed)
	}
	health, err := s.Run(ctx, "ivan", "kubectl", "get", "cdisp", "check-health", "-n", fleet, "-o", "jsonpath={.status.execution}")
	if err != nil {
		return err
	}
	if health != "Finished" {
		return fmt.Errorf("system.health is %q, not Finished", health)
	}
	return nil
}

func showRefusal(ctx context.Context, s *stack.Stack, n *narrator) error {
	n.startStep("ivan asks for a capability he has no right to; RBAC refuses")
	out, err := s.KubectlInput(ctx, "ivan", refusedYAML, "apply", "-f", "-")
	if err == nil {
		return fmt.Errorf("the apiserver accepted a dispatch that ivan may not create: %s", out)
	}
	n.printCommand("ivan", []string{"kubectl", "apply", "-f", "refused.yaml"}, out)
	if !strings.Contains(out, "invoke") {
		return fmt.Errorf("it was refused, but not for the missing right: %s", out)
	}
	return nil
}

// restOfLine returns the rest of the first line that contains mark.
func restOfLine(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}
