package goatflowplugin

// #include "shim.h"
// #cgo noescape gfp_error_view_get
// #cgo nocallback gfp_error_view_get
// #cgo nocallback gfp_error_free
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

//go:generate go run ./internal/generate

// Status is the number of an error code. Numbers never change. The Err… constants are the ones this version of the
// binding was generated with; a newer library may answer others.
//
// A Status is an error, so that errors.Is finds it in any error this package returns.
type Status int32

// Code is the stable dotted name, for example "policy.sql.table_denied"; "unknown" for a number this version of the
// binding does not have.
func (s Status) Code() string {
	if code, ok := statusCodes[s]; ok {
		return code
	}
	return "unknown"
}

// Error is the code.
func (s Status) Error() string { return s.Code() }

// Error is a failure as the library reports it.
type Error struct {
	// Status and Code say what happened, for programs.
	Status Status
	Code   string
	// Message says it in a sentence, and where there is one the way out.
	Message string
	// Plugin is the plugin the error is about; empty when it is about none.
	Plugin string
	// Detail is a JSON object with the facts behind the message.
	Detail json.RawMessage
	// Retryable is true when the same request may succeed later without any change.
	Retryable bool

	cause error
}

// Error is the message and the code.
func (e *Error) Error() string { return fmt.Sprintf("%s (%s)", e.Message, e.Code) }

// Is reports whether target is the error's status.
func (e *Error) Is(target error) bool {
	status, ok := target.(Status)
	return ok && status == e.Status
}

// Unwrap is the error of the context that ended the call, nil when the context did not.
func (e *Error) Unwrap() error { return e.cause }

// check turns what a library function returned into an error and releases the error object.
func (l *Library) check(status C.int32_t, out *C.gfp_out) error {
	if status == 0 {
		return nil
	}
	return l.takeError(status, out)
}

func (l *Library) takeError(status C.int32_t, out *C.gfp_out) *Error {
	if out.error == 0 {
		code := C.GoString(C.gfp_status_slug(l.table, status))
		return &Error{Status: Status(status), Code: code, Message: "the library gives no reason"}
	}
	var view C.gfp_error_view
	C.gfp_error_view_get(l.table, out.error, &view)
	taken := &Error{
		Status:    Status(view.status),
		Code:      C.GoString(view.code),
		Message:   C.GoString(view.message),
		Plugin:    C.GoString(view.plugin),
		Detail:    json.RawMessage(C.GoString(view.detail)),
		Retryable: view.retryable != 0,
	}
	C.gfp_error_free(l.table, out.error)
	out.error = 0
	return taken
}

// becauseOf adds the context's error to a call's error if it was the context that ended the call.
func (e *Error) becauseOf(ctx context.Context) *Error {
	switch {
	case e.Status == ErrPluginDeadline:
		// The library may notice before the context's timer fires.
		if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
			e.cause = context.DeadlineExceeded
		}
	case e.Status == ErrPluginCancelled:
		e.cause = ctx.Err()
	}
	return e
}

// contextError is the error of what is not done, or not waited for, because its context is over.
func contextError(plugin string, cause error) *Error {
	status := ErrPluginCancelled
	if errors.Is(cause, context.DeadlineExceeded) {
		status = ErrPluginDeadline
	}
	return &Error{
		Status:    status,
		Code:      status.Code(),
		Message:   "the context is over: " + cause.Error(),
		Plugin:    plugin,
		Detail:    json.RawMessage("{}"),
		Retryable: status == ErrPluginDeadline,
		cause:     cause,
	}
}
