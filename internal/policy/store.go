package policy

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// historyKey is the key of the history in ConfigMap v1alpha1.PolicyProofConfigMap.
const historyKey = "history"

// historyStore stores the history in a ConfigMap. RBAC denies it to gateways, not a policy: the
// record of the policies must not depend on one of them.
type historyStore struct {
	client client.Client
	key    client.ObjectKey
}

func newHistoryStore(own client.Client, namespace string) historyStore {
	return historyStore{client: own, key: client.ObjectKey{Namespace: namespace, Name: v1alpha1.PolicyProofConfigMap}}
}

// load returns the stored history and its ConfigMap, which is nil if it does not exist.
func (s historyStore) load(ctx context.Context) (history, *corev1.ConfigMap, error) {
	stored := &corev1.ConfigMap{}
	if err := s.client.Get(ctx, s.key, stored); err != nil {
		if apierrors.IsNotFound(err) {
			return history{}, nil, nil
		}
		return history{}, nil, fmt.Errorf("read the record of the proofs: %w", err)
	}
	var h history
	if err := json.Unmarshal([]byte(stored.Data[historyKey]), &h); err != nil {
		return history{}, nil, fmt.Errorf("ConfigMap %s does not hold a record of proofs: delete it, and the objects that are there now are adopted: %w", s.key, err)
	}
	return h, stored, nil
}

// save replaces the loaded history by the next one.
func (s historyStore) save(ctx context.Context, loaded *corev1.ConfigMap, next history) error {
	text, err := jsontext.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the record of the proofs: %w", err)
	}
	if loaded == nil {
		created := &corev1.ConfigMap{Data: map[string]string{historyKey: string(text)}}
		created.Namespace, created.Name = s.key.Namespace, s.key.Name
		err = s.client.Create(ctx, created)
	} else {
		before := loaded.DeepCopy()
		loaded.Data = map[string]string{historyKey: string(text)}
		if equality.Semantic.DeepEqual(before, loaded) {
			return nil
		}
		err = s.client.Update(ctx, loaded)
	}
	if err != nil {
		return fmt.Errorf("store the record of the proofs: %w", err)
	}
	return nil
}
