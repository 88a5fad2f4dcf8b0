package object

import (
	"errors"
	"fmt"
)

// Code is a CIM status code (DSP0200, 5.4).
type Code int

// The codes.
const (
	Failed                 Code = 1
	AccessDenied           Code = 2
	InvalidNamespace       Code = 3
	InvalidParameter       Code = 4
	InvalidClass           Code = 5
	NotFound               Code = 6
	NotSupported           Code = 7
	ClassHasChildren       Code = 8
	ClassHasInstances      Code = 9
	InvalidSuperclass      Code = 10
	AlreadyExists          Code = 11
	NoSuchProperty         Code = 12
	TypeMismatch           Code = 13
	QueryLanguage          Code = 14
	InvalidQuery           Code = 15
	MethodNotAvailable     Code = 16
	MethodNotFound         Code = 17
	NamespaceNotEmpty      Code = 20
	InvalidContext         Code = 21
	InvalidTimeout         Code = 22
	PullAbandoned          Code = 23
	PullCannotBeAbandoned  Code = 24
	FilterNotSupported     Code = 25
	ContinuationNotSupport Code = 26
	LimitsExceeded         Code = 27
	ShuttingDown           Code = 28
)

// Codes lists the status codes with the name and the meaning of each.
var Codes = []struct {
	Code Code
	Name string
	Text string
}{
	{Failed, "CIM_ERR_FAILED", "a general error"},
	{AccessDenied, "CIM_ERR_ACCESS_DENIED", "the caller may not do this"},
	{InvalidNamespace, "CIM_ERR_INVALID_NAMESPACE", "there is no such namespace"},
	{InvalidParameter, "CIM_ERR_INVALID_PARAMETER", "a parameter is wrong"},
	{InvalidClass, "CIM_ERR_INVALID_CLASS", "there is no such class"},
	{NotFound, "CIM_ERR_NOT_FOUND", "there is no such object"},
	{NotSupported, "CIM_ERR_NOT_SUPPORTED", "the operation is not supported"},
	{ClassHasChildren, "CIM_ERR_CLASS_HAS_CHILDREN", "the class has subclasses"},
	{ClassHasInstances, "CIM_ERR_CLASS_HAS_INSTANCES", "the class has instances"},
	{InvalidSuperclass, "CIM_ERR_INVALID_SUPERCLASS", "there is no such superclass"},
	{AlreadyExists, "CIM_ERR_ALREADY_EXISTS", "the object exists already"},
	{NoSuchProperty, "CIM_ERR_NO_SUCH_PROPERTY", "there is no such property"},
	{TypeMismatch, "CIM_ERR_TYPE_MISMATCH", "a value has the wrong type"},
	{QueryLanguage, "CIM_ERR_QUERY_LANGUAGE_NOT_SUPPORTED", "the query language is not supported"},
	{InvalidQuery, "CIM_ERR_INVALID_QUERY", "the query is not valid"},
	{MethodNotAvailable, "CIM_ERR_METHOD_NOT_AVAILABLE", "the method is not available"},
	{MethodNotFound, "CIM_ERR_METHOD_NOT_FOUND", "there is no such method"},
	{NamespaceNotEmpty, "CIM_ERR_NAMESPACE_NOT_EMPTY", "the namespace is not empty"},
	{InvalidContext, "CIM_ERR_INVALID_ENUMERATION_CONTEXT", "there is no such enumeration"},
	{InvalidTimeout, "CIM_ERR_INVALID_OPERATION_TIMEOUT", "the time-out is not supported"},
	{PullAbandoned, "CIM_ERR_PULL_HAS_BEEN_ABANDONED", "the pull was given up"},
	{PullCannotBeAbandoned, "CIM_ERR_PULL_CANNOT_BE_ABANDONED", "the pull can't be given up"},
	{FilterNotSupported, "CIM_ERR_FILTERED_ENUMERATION_NOT_SUPPORTED", "filters are not supported"},
	{ContinuationNotSupport, "CIM_ERR_CONTINUATION_ON_ERROR_NOT_SUPPORTED", "continuation on error is not supported"},
	{LimitsExceeded, "CIM_ERR_SERVER_LIMITS_EXCEEDED", "a limit of the server is exceeded"},
	{ShuttingDown, "CIM_ERR_SERVER_IS_SHUTTING_DOWN", "the server is about to end"},
}

// String is the name of the code.
func (c Code) String() string {
	for _, x := range Codes {
		if x.Code == c {
			return x.Name
		}
	}
	return fmt.Sprintf("CIM error %d", int(c))
}

// Error is an answer that an operation failed.
type Error struct {
	Code Code
	Text string
}

// Error is the name of the code and the text.
func (e *Error) Error() string { return e.Code.String() + ": " + e.Text }

// Errorf makes an error with a code.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// AsError is the error with a code in an error; one without a code becomes [Failed].
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: Failed, Text: err.Error()}
}
