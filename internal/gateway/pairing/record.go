package pairing

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// errRecordNotFound means that there is no usable record of a lookup id.
var errRecordNotFound = errors.New("no usable pairing record")

// record is the state of a code as the gateway reads it.
type record struct {
	secret      *corev1.Secret
	scalar      []byte
	namespace   string
	codeName    string
	codeUID     types.UID
	method      v1alpha1.PairingMethod
	triesUsed   int
	consumedBy  string
	requestName string
	expires     time.Time
}

// parseRecord reads a Secret. It rejects an incomplete one, so that half a record admits no
// machine.
func parseRecord(secret *corev1.Secret) (record, error) {
	if secret.Type != v1alpha1.SecretTypePairingRecord {
		return record{}, fmt.Errorf("secret %s is no pairing record: %w", secret.Name, errRecordNotFound)
	}
	text := func(key string) string { return string(secret.Data[key]) }
	tries, err := strconv.Atoi(text(v1alpha1.RecordKeyTriesUsed))
	if err != nil || tries < 0 {
		return record{}, fmt.Errorf("pairing record %s: %s is not a number: %w", secret.Name, v1alpha1.RecordKeyTriesUsed, errRecordNotFound)
	}
	expires, err := time.Parse(time.RFC3339, text(v1alpha1.RecordKeyExpires))
	if err != nil {
		return record{}, fmt.Errorf("pairing record %s: %s is not a time: %w", secret.Name, v1alpha1.RecordKeyExpires, errRecordNotFound)
	}
	return record{
		secret:      secret,
		scalar:      secret.Data[v1alpha1.RecordKeyScalar],
		namespace:   text(v1alpha1.RecordKeyNamespace),
		codeName:    text(v1alpha1.RecordKeyCodeName),
		codeUID:     types.UID(text(v1alpha1.RecordKeyCodeUID)),
		method:      v1alpha1.PairingMethod(text(v1alpha1.RecordKeyMethod)),
		triesUsed:   tries,
		consumedBy:  text(v1alpha1.RecordKeyConsumedBy),
		requestName: text(v1alpha1.RecordKeyRequestName),
		expires:     expires,
	}, nil
}

// isUsable reports whether an exchange with the code can still succeed. The code must have tries
// left, and must not have expired before its first use.
func (r record) isUsable(now time.Time) bool {
	return r.triesUsed < v1alpha1.MaxPairingTries && (r.consumedBy != "" || now.Before(r.expires))
}

// isUsableBy reports the same for one key: a used code is usable only by the key that used it.
func (r record) isUsableBy(key string, now time.Time) bool {
	return r.isUsable(now) && (r.consumedBy == "" || r.consumedBy == key)
}

// records reads and writes the Secrets of the pairing namespace.
type records struct {
	live      client.Reader
	write     client.Writer
	namespace string
}

func (r records) get(ctx context.Context, from client.Reader, lookupID string) (record, error) {
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: r.namespace, Name: v1alpha1.PairingRecordName(lookupID)}
	if err := from.Get(ctx, key, &secret); err != nil {
		if apierrors.IsNotFound(err) {
			return record{}, errRecordNotFound
		}
		return record{}, fmt.Errorf("read pairing record: %w", err)
	}
	return parseRecord(secret.DeepCopy())
}

// update changes the record by compare-and-swap. change receives the live record and returns the
// values to store, or an error that ends the update. update returns the record that change
// received.
func (r records) update(ctx context.Context, lookupID string, change func(record) (map[string]string, error)) (record, error) {
	for {
		current, err := r.get(ctx, r.live, lookupID)
		if err != nil {
			return record{}, err
		}
		values, err := change(current)
		if err != nil {
			return current, err
		}
		for key, value := range values {
			current.secret.Data[key] = []byte(value)
		}
		err = r.write.Update(ctx, current.secret)
		switch {
		case err == nil:
			return current, nil
		case apierrors.IsNotFound(err):
			return record{}, errRecordNotFound
		case !apierrors.IsConflict(err):
			return record{}, fmt.Errorf("update pairing record: %w", err)
		case ctx.Err() != nil:
			return record{}, ctx.Err()
		}
		// Another writer was faster, and its change may forbid this one: try again on the new
		// record.
	}
}

// takeTry spends one try. It runs before anything is verified.
func (r records) takeTry(ctx context.Context, lookupID, key string, now time.Time) (record, error) {
	return r.update(ctx, lookupID, func(stored record) (map[string]string, error) {
		if !stored.isUsableBy(key, now) {
			return nil, errRecordNotFound
		}
		return map[string]string{v1alpha1.RecordKeyTriesUsed: strconv.Itoa(stored.triesUsed + 1)}, nil
	})
}

// returnTry gives a try back after a right confirmation that led to no request.
func (r records) returnTry(ctx context.Context, lookupID string) error {
	_, err := r.update(ctx, lookupID, func(stored record) (map[string]string, error) {
		return map[string]string{v1alpha1.RecordKeyTriesUsed: strconv.Itoa(max(0, stored.triesUsed-1))}, nil
	})
	return err
}

// consume binds the code to the key and the request and returns the try, in one step. For the key
// that already holds the code, the request stays the first one. Another key is too late
// (errRecordNotFound), but its confirmation was right, so its try is returned as well.
func (r records) consume(ctx context.Context, lookupID, key, request string) (requestName string, err error) {
	tooLate := false
	_, err = r.update(ctx, lookupID, func(stored record) (map[string]string, error) {
		values := map[string]string{v1alpha1.RecordKeyTriesUsed: strconv.Itoa(max(0, stored.triesUsed-1))}
		tooLate, requestName = false, request
		switch stored.consumedBy {
		case "":
			values[v1alpha1.RecordKeyConsumedBy] = key
			values[v1alpha1.RecordKeyRequestName] = request
		case key:
			requestName = stored.requestName
		default:
			tooLate = true
		}
		return values, nil
	})
	if err == nil && tooLate {
		return "", errRecordNotFound
	}
	return requestName, err
}
