package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a call can end with, besides success. Every error of this package wraps
// one of these, or the context's.
var (
	// ErrUnknown: a write was sent, and no answer came. It may have happened, or
	// happen yet. Read before deciding what to do.
	ErrUnknown = errors.New("the outcome is unknown")
	// ErrUnreachable: nothing was done, since no member with a leader answered.
	ErrUnreachable = errors.New("the store does not answer")
	// ErrSpace: nothing was done, since the store is full.
	ErrSpace = errors.New("the store is full")
	// ErrTooLarge: nothing was done, since the transaction is beyond the limits.
	ErrTooLarge = errors.New("too large for one transaction")
	// ErrDenied: nothing was done, since this node may not do it, or nobody knows it.
	ErrDenied = errors.New("the store refuses it to this node")
	// ErrInvalid: nothing was done, since the transaction makes no sense, such as
	// one key twice.
	ErrInvalid = errors.New("not a valid transaction")
	// ErrCorrupt: nothing was done, since the members' data differ.
	ErrCorrupt = errors.New("the members of the store have different data")
	// ErrNotReady: nothing was done, since the other side is not so far yet.
	ErrNotReady = errors.New("not ready yet")
	// ErrClosed: the store was closed by this program.
	ErrClosed = errors.New("the store is closed")
)

// verdict is what an answer means for the call.
type verdict int

const (
	final   verdict = iota // nothing was done, and trying again is no use
	again                  // nothing was done, and another member or moment may do
	unknown                // it may have been done
	noLease                // nothing was done, since the lease is gone
)

// textDropped is what a member says that has no leader to pass a write to.
const textDropped = "raft proposal dropped"

// judge sorts an error of a call. sent says whether the request left this process.
func judge(err error, sent bool) (verdict, error) {
	if err == nil {
		return final, nil
	}
	text, code := err.Error(), status.Code(err)
	err = rpctypes.Error(err) // one that errors.Is knows
	switch e := err; {
	case strings.Contains(text, "trying to send message larger than max"):
		return final, fmt.Errorf("%w: %w", ErrTooLarge, err)
	case !sent:
		return again, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case errors.Is(e, rpctypes.ErrNoLeader), errors.Is(e, rpctypes.ErrTooManyRequests),
		errors.Is(e, rpctypes.ErrAuthOldRevision), errors.Is(e, rpctypes.ErrNotCapable),
		errors.Is(e, rpctypes.ErrNotLeader),
		strings.Contains(text, "rpc not supported for learner"),
		strings.Contains(text, textDropped):
		return again, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case errors.Is(e, rpctypes.ErrUnhealthy):
		return final, err // about the members' connections, not about this one
	case errors.Is(e, rpctypes.ErrLeaseNotFound):
		return noLease, err
	case errors.Is(e, rpctypes.ErrNoSpace):
		return final, fmt.Errorf("%w: %w", ErrSpace, err)
	case errors.Is(e, rpctypes.ErrRequestTooLarge), errors.Is(e, rpctypes.ErrTooManyOps):
		return final, fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(e, rpctypes.ErrPermissionDenied), errors.Is(e, rpctypes.ErrUserEmpty),
		errors.Is(e, rpctypes.ErrInvalidAuthToken), errors.Is(e, rpctypes.ErrAuthFailed):
		return final, fmt.Errorf("%w: %w", ErrDenied, err)
	case errors.Is(e, rpctypes.ErrDuplicateKey), errors.Is(e, rpctypes.ErrEmptyKey):
		return final, fmt.Errorf("%w: %w", ErrInvalid, err)
	case errors.Is(e, rpctypes.ErrCorrupt):
		return final, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	switch code {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.NotFound, codes.AlreadyExists, codes.OutOfRange, codes.Unimplemented:
		return final, err
	case codes.OK, codes.Canceled, codes.Unknown, codes.DeadlineExceeded, codes.PermissionDenied, codes.ResourceExhausted,
		codes.Aborted, codes.Internal, codes.Unavailable, codes.DataLoss, codes.Unauthenticated:
	}
	return unknown, fmt.Errorf("%w: %w", ErrUnknown, err)
}

// isUnhealthy tells the refusal of a change of members while some of them are not
// connected, or only since less than 5s.
func isUnhealthy(err error) bool {
	return errors.Is(err, rpctypes.ErrUnhealthy)
}

// ofContext prefers the reason why a call was given up to how it showed.
func ofContext(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}
