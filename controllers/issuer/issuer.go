// Package issuer lets cert-manager sign certificate requests.
package issuer

import (
	"context"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
)

// GracePeriod is how long an issuer may take before an object reports that it waits for the issuer.
const GracePeriod = 5 * time.Second

// Issuer signs certificate requests that passed every check. Its methods are idempotent.
type Issuer interface {
	// Sign orders a certificate and returns it once it is signed. It returns a *PendingError until
	// then, and a *RefusedError if the certificate will never be signed.
	Sign(ctx context.Context, order Order) (Signed, error)
	// CheckPending returns a *PendingError while an existing order has no answer, else nil. It
	// creates no order and reads only the cache.
	CheckPending(ctx context.Context, order Order) error
	// DeleteOrders deletes the orders with these labels that Sign created, except the named one.
	DeleteOrders(ctx context.Context, labels map[string]string, except string) error
}

// Order describes one certificate to be signed.
type Order struct {
	// Name is the same for the same request, so that signing is idempotent.
	Name string
	// Labels select the order.
	Labels map[string]string
	// Request is the PKCS#10 request, DER.
	Request []byte
	// Usages and Duration are those of the certificate.
	Usages   []certmanagerv1.KeyUsage
	Duration time.Duration
}

// Signed is the answer to an Order; both parts are PEM. The chain is leaf first.
type Signed struct {
	Chain, CA []byte
	// Since is the time at which the order was created.
	Since time.Time
}

// PendingError reports that the issuer has not answered yet; the caller should ask again.
type PendingError struct {
	// Order is the name of the pending order, Since its creation time and Detail the issuer's
	// message.
	Order, Detail string
	Since         time.Time
}

func (e *PendingError) Error() string { return e.Order + " is not signed yet: " + e.Detail }

// RefusedError reports that the issuer will never sign the order.
type RefusedError struct{ Order, Detail string }

func (e *RefusedError) Error() string { return e.Order + " was refused: " + e.Detail }
