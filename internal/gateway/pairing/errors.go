package pairing

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// errNotAccepted is the one answer to an unknown, a wrong, a spent and an expired code.
var errNotAccepted = status.Error(codes.Unauthenticated,
	"the pairing code is not accepted: it is wrong, used, expired or burnt; check it, or ask for a new one")

// errNoSession answers a Complete whose session is not of this connection, used or over.
var errNoSession = status.Error(codes.FailedPrecondition,
	"there is no such pairing session on this connection; begin again")

// errNoRequest answers a poll for a request that does not exist.
var errNoRequest = status.Error(codes.NotFound, "there is no such pairing request for this key; pair the machine again")

// errBadProof answers a signature that is not of the key over this call and connection.
var errBadProof = status.Error(codes.Unauthenticated, "the proof is not a signature of the machine's key over this call and connection")

// errNoRecovery answers every recovery of a machine that may not have one.
var errNoRecovery = status.Error(codes.PermissionDenied,
	"this identity cannot be recovered: the Node is unknown, revoked or has another key, or the certificate expired too long ago; pair the machine again")

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// tooMany says when to come back.
func tooMany(wait time.Duration, text string) error {
	refused := status.New(codes.ResourceExhausted, text)
	if detailed, err := refused.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}); err == nil {
		refused = detailed
	}
	return refused.Err()
}
