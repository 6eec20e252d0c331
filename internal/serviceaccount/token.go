// Package serviceaccount reads the evidence that an agent inside the cluster shows instead of a
// pairing code. It reads the token of the agent's pod, and the rules that define which accounts may
// enroll where. Gateway and controller each use it for themselves.
package serviceaccount

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// DefaultAudience is the audience that tokens must have. A token for the API server is not
	// accepted.
	DefaultAudience = "mooring"
	// MaxTokenBytes bounds a token; real ones have about 1.5 KiB.
	MaxTokenBytes = 16 << 10

	userPrefix = "system:serviceaccount:"
	nodeKey    = "authentication.kubernetes.io/node-name"
	nodeUIDKey = "authentication.kubernetes.io/node-uid"
)

// RefusedError means that a token or an account is not admitted; the text names the action to take.
type RefusedError struct{ Text string }

func (e *RefusedError) Error() string { return e.Text }

func refusedErrorf(format string, args ...any) error {
	return &RefusedError{fmt.Sprintf(format, args...)}
}

// Holder is the account that a token belongs to, and the core Node that the token is bound to, by
// name and UID.
type Holder struct{ Namespace, Name, Node, NodeUID string }

func (h Holder) String() string { return h.Namespace + "/" + h.Name }

// Review asks the API server for the holder of a token. It returns *RefusedError unless the token
// is a live token for the audience, of a ServiceAccount, bound to a node.
func Review(ctx context.Context, c client.Writer, token, audience string) (Holder, error) {
	if token == "" || len(token) > MaxTokenBytes {
		return Holder{}, refusedErrorf("the token is empty or longer than %d bytes: mount a projected ServiceAccount token", MaxTokenBytes)
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}}}
	if err := c.Create(ctx, review); err != nil {
		return Holder{}, fmt.Errorf("review token: %w", err)
	}
	return parseReview(review.Status, audience)
}

func parseReview(status authenticationv1.TokenReviewStatus, audience string) (Holder, error) {
	if !status.Authenticated || !slices.Contains(status.Audiences, audience) {
		return Holder{}, refusedErrorf("the ServiceAccount token is not valid: it must be for audience %q, not expired, and its pod, node and account must still exist (%s)",
			audience, reasonOrDefault(status.Error))
	}
	namespace, name, ok := strings.Cut(strings.TrimPrefix(status.User.Username, userPrefix), ":")
	if !ok || !strings.HasPrefix(status.User.Username, userPrefix) {
		return Holder{}, refusedErrorf("the token belongs to %q, which is no ServiceAccount", status.User.Username)
	}
	node, uid := singleValue(status.User.Extra[nodeKey]), singleValue(status.User.Extra[nodeUIDKey])
	if node == "" {
		return Holder{}, refusedErrorf("the token of ServiceAccount %s/%s is not bound to a node: mount it as a projected volume of a pod", namespace, name)
	}
	if uid == "" {
		return Holder{}, refusedErrorf("the token of ServiceAccount %s/%s was made before core node %q was there: start the pod again", namespace, name, node)
	}
	return Holder{Namespace: namespace, Name: name, Node: node, NodeUID: uid}, nil
}

// singleValue returns the value of a list of one, and otherwise an empty string.
func singleValue(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

func reasonOrDefault(text string) string {
	if text == "" {
		return "the API server gave no reason"
	}
	return text
}

var nodePrefixPattern = regexp.MustCompile(`^[a-z0-9][-a-z0-9]{0,29}$`)
