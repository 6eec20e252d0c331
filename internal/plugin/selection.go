package plugin

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// selection holds the flags that choose requests without naming them.
type selection struct {
	selector string
	all      bool
}

func (s *selection) addFlags(flags *pflag.FlagSet) {
	flags.StringVarP(&s.selector, "selector", "l", "", "choose the requests whose codes give the Node labels that match, such as hall=b")
	flags.BoolVar(&s.all, "all", false, "choose every request that waits")
}

func (s selection) isSet() bool { return s.all || s.selector != "" }

// validate returns an error unless exactly one way of choosing is used.
func (s selection) validate(names []string) error {
	ways := 0
	for _, used := range []bool{len(names) > 0, s.all, s.selector != ""} {
		if used {
			ways++
		}
	}
	if ways == 1 {
		_, err := s.parseSelector()
		return err
	}
	problem := "choose in one way only: by name, with --selector or with --all"
	if ways == 0 {
		problem = "choose requests by name, with --selector or with --all"
	}
	return usageErrorf("%s\nUsage: kubectl mooring approve NAME...\nSee: kubectl mooring approve --help", problem)
}

func (s selection) parseSelector() (labels.Selector, error) {
	selector, err := labels.Parse(s.selector)
	if err != nil {
		return nil, usageErrorf("--selector: %w; write labels as --selector hall=b,line!=3", err)
	}
	return selector, nil
}

// selectRequests returns the names of the waiting requests that match, the earliest expiry first. A
// decision that another person makes meanwhile is detected when that request is decided.
func (t *tool) selectRequests(ctx context.Context, f *fleet, s selection) ([]string, error) {
	var waiting v1alpha1.PairingRequestList
	if err := f.list(ctx, &waiting); err != nil {
		return nil, fmt.Errorf("list pairing requests: %w", f.explainError(err, "pairingrequests"))
	}
	var codes v1alpha1.PairingCodeList
	if s.selector != "" {
		if err := f.list(ctx, &codes); err != nil {
			return nil, fmt.Errorf("read the labels that pairing codes give: %w", f.explainError(err, "pairingcodes"))
		}
	}
	selector, err := s.parseSelector()
	if err != nil {
		return nil, err
	}
	now := t.now()
	waiting.Items = slices.DeleteFunc(waiting.Items, func(r v1alpha1.PairingRequest) bool { return !isPending(&r, now) })
	chosen := matchRequests(waiting.Items, codes.Items, selector)
	if len(chosen) == 0 {
		if err := f.checkNamespace(ctx); err != nil {
			return nil, err
		}
		t.noticef("No such machine waits for an approval in namespace %q: nothing was changed. See those that wait: kubectl mooring pending -n %s", f.namespace, f.namespace)
	}
	return chosen, nil
}

// matchRequests matches the labels of each request's code: people chose them, while the content of
// a request comes from the machine and the gateway.
func matchRequests(requests []v1alpha1.PairingRequest, codes []v1alpha1.PairingCode, selector labels.Selector) []string {
	codeLabels := map[string]labels.Set{}
	for _, code := range codes {
		set := labels.Set{}
		for key, value := range code.Spec.NodeLabels {
			set[key] = string(value)
		}
		codeLabels[code.Name] = set
	}
	slices.SortStableFunc(requests, func(a, b v1alpha1.PairingRequest) int {
		return a.Spec.ExpiresTime.Compare(b.Spec.ExpiresTime.Time)
	})
	var names []string
	for _, r := range requests {
		if selector.Matches(codeLabels[r.Spec.CodeName]) {
			names = append(names, r.Name)
		}
	}
	return names
}
