package pairingcode

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// indexRecordCode indexes the records of a PairingCode by its "namespace/name".
const indexRecordCode = "mooring.record.code"

// Record is the part of the password record of a code that the controller reads. The
// password itself is written once and never read back.
type Record struct {
	Secret      *corev1.Secret
	Code        types.NamespacedName
	CodeUID     types.UID
	Method      v1alpha1.PairingMethod
	TriesUsed   int
	ConsumedBy  string // fingerprint of the key that used the code; "" if unused
	RequestName string
	Written     time.Time // time of the last change, in whole seconds of the API server
}

func parseRecord(secret *corev1.Secret) *Record {
	text := func(key string) string { return string(secret.Data[key]) }
	tries, err := strconv.Atoi(text(v1alpha1.RecordKeyTriesUsed))
	if err != nil || tries < 0 {
		// Only the controller and the gateway write it: an invalid count leaves no tries.
		tries = v1alpha1.MaxPairingTries
	}
	record := &Record{
		Secret:      secret,
		Code:        types.NamespacedName{Namespace: text(v1alpha1.RecordKeyNamespace), Name: text(v1alpha1.RecordKeyCodeName)},
		CodeUID:     types.UID(text(v1alpha1.RecordKeyCodeUID)),
		Method:      v1alpha1.PairingMethod(text(v1alpha1.RecordKeyMethod)),
		TriesUsed:   tries,
		ConsumedBy:  text(v1alpha1.RecordKeyConsumedBy),
		RequestName: text(v1alpha1.RecordKeyRequestName),
		Written:     secret.CreationTimestamp.Time,
	}
	for _, entry := range secret.ManagedFields {
		if entry.Time != nil && entry.Time.After(record.Written) {
			record.Written = entry.Time.Time
		}
	}
	return record
}

// BelongsTo reports whether the record was created for this code and not for another one of the
// same name.
func (r *Record) BelongsTo(code *v1alpha1.PairingCode) bool {
	return r.CodeUID == code.UID && r.Code == client.ObjectKeyFromObject(code)
}

// wasTried reports whether a machine has tried the code.
func (r *Record) wasTried() bool { return r.TriesUsed > 0 || r.ConsumedBy != "" }

// Records accesses the password records in the pairing namespace.
type Records struct {
	client    client.Client
	live      client.Reader // a decision must see the last change of a gateway
	namespace string
}

// NewRecords returns the records in a namespace.
func NewRecords(mgr ctrl.Manager, namespace string) Records {
	return Records{client: mgr.GetClient(), live: mgr.GetAPIReader(), namespace: namespace}
}

// Get reads the live record of a lookup id; nil means that there is none.
func (s Records) Get(ctx context.Context, lookupID string) (*Record, error) {
	if lookupID == "" {
		return nil, nil
	}
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: s.namespace, Name: v1alpha1.PairingRecordName(lookupID)}
	if err := s.live.Get(ctx, key, secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("read the pairing record of code %s: %w", lookupID, err)
	}
	if secret.Type != v1alpha1.SecretTypePairingRecord {
		return nil, fmt.Errorf("secret %s is not of type %s: delete it", key, v1alpha1.SecretTypePairingRecord)
	}
	return parseRecord(secret), nil
}

// listFor lists from the cache the records that were created for codes of this name.
func (s Records) listFor(ctx context.Context, code types.NamespacedName) ([]*Record, error) {
	var list corev1.SecretList
	err := s.client.List(ctx, &list, client.InNamespace(s.namespace), client.MatchingFields{indexRecordCode: code.String()})
	if err != nil {
		return nil, fmt.Errorf("list the pairing records of code %s: %w", code, err)
	}
	records := make([]*Record, 0, len(list.Items))
	for i := range list.Items {
		records = append(records, parseRecord(&list.Items[i]))
	}
	return records, nil
}

// remove deletes the record as it was read: a conflict means that a gateway has changed it since.
func (s Records) remove(ctx context.Context, record *Record) error {
	uid, version := record.Secret.UID, record.Secret.ResourceVersion
	err := s.client.Delete(ctx, record.Secret, client.Preconditions{UID: &uid, ResourceVersion: &version})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete pairing record %s: %w", record.Secret.Name, err)
	}
	return nil
}

// removeAll deletes all records for codes of this name, except those that keep accepts.
func (s Records) removeAll(ctx context.Context, code types.NamespacedName, keep func(*Record) bool) error {
	records, err := s.listFor(ctx, code)
	if err != nil {
		return err
	}
	for _, record := range records {
		if keep != nil && keep(record) {
			continue
		}
		if err := s.remove(ctx, record); err != nil {
			return err
		}
	}
	return nil
}

// recordCodeKey returns the index value of a record for indexRecordCode.
func recordCodeKey(o client.Object) []string {
	secret, ok := o.(*corev1.Secret)
	if !ok || secret.Type != v1alpha1.SecretTypePairingRecord {
		return nil
	}
	return []string{parseRecord(secret).Code.String()}
}
