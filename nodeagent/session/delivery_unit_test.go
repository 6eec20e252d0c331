package session

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var refusal = status.Error(codes.InvalidArgument, "this message makes no sense")

func TestAnInnocentResultIsNeverGivenUp(t *testing.T) {
	now := time.Now()
	d := newDeliveryQueue()
	d.startSession()
	for _, uid := range []string{"a", "b"} {
		if !d.maySend(uid) {
			t.Fatalf("%s must wait although no result was refused", uid)
		}
	}
	for i, err := range []error{errors.New("network"), status.Error(codes.Unavailable, "gone"), refusal, refusal} {
		if got := d.endSession(err); got != "" {
			t.Fatalf("after end %d the output of %s is dropped, with two results on the way", i, got)
		}
	}
	d.startSession()
	for _, uid := range []string{"a", "b", "c"} {
		if d.maySend(uid) {
			t.Fatalf("%s is sent beside another", uid)
		}
	}
	if uid, ok := d.nextResult(now); !ok || uid != "c" {
		t.Fatalf("%q is first, want the result that is no suspect", uid)
	}
	if uid, ok := d.nextResult(now); ok {
		t.Fatalf("%s is sent beside c", uid)
	}
	if uid, ok := d.nextResult(now.Add(settleTimeout)); !ok || uid != "a" {
		t.Fatalf("%q is next after a result that is not settled, want a", uid)
	}
	if got := d.endSession(refusal); got != "" {
		t.Fatalf("the output of %s is dropped although c was on the way too", got)
	}
	d.startSession()
	d.maySend("a")
	d.nextResult(now)
	if got := d.endSession(refusal); got != "a" {
		t.Fatalf("the output of %q is dropped, want a", got)
	}
	d.startSession()
	d.maySend("b")
	d.nextResult(now)
	d.markSettled("b")
	d.maySend("c")
	d.nextResult(now)
	d.markSettled("c")
	d.nextResult(now)
	if !d.maySend("d") {
		t.Error("results are still sent one by one although no suspect is left")
	}
}
