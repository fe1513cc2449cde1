package goatflowplugin

// #include "shim.h"
import "C"

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/cgo"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"
)

// HostFunc answers a call that a plugin makes of the application, after the call has passed the plugin's policy. It
// returns JSON; no bytes are the JSON value null. An error fails the plugin's call with ErrHostFailed and the error's
// text, which the plugin's author gets to read.
//
// It runs on the goroutine that called the plugin or on a thread of the library, possibly many at once, and may use the
// manager. A panic fails the plugin's call. To answer later, from another goroutine, use [HostCall.Defer].
type HostFunc func(call HostCall) ([]byte, error)

// HostCall is one call that a plugin makes of the application.
type HostCall struct {
	// Plugin is who calls, as the library knows it.
	Plugin string
	// Service is the service called, for example "db"; "custom" for declared functions.
	Service string
	// Function is the function called, for example "db_query".
	Function string
	// Arguments is the JSON object that the policy was checked against.
	Arguments []byte
	// Chain is a JSON array of plugin names: whoever the application called first, this plugin last.
	Chain json.RawMessage
	// Depth is 0 if the application called the plugin, 1 if a plugin did that the application called, and so on.
	Depth int
	// RequestID and Language are those of the application's call.
	RequestID string
	Language  string
	// Remaining is the time until the call's deadline.
	Remaining time.Duration

	reply *Reply
	ctx   context.Context
}

// Context is the context of the application's call that led here; context.Background if it had none. The library, not
// this context, enforces the call's deadline.
func (c HostCall) Context() context.Context {
	if c.ctx == nil {
		return context.Background()
	}
	return c.ctx
}

// Defer keeps the call open: what the callback returns is ignored, and the reply is completed later, from any goroutine.
// Until then the plugin waits, at most until the call's deadline.
func (c HostCall) Defer() *Reply {
	c.reply.deferred = true
	return c.reply
}

// Reply is the answer to one call of a plugin. Complete it once; the second attempt fails.
type Reply struct {
	library  *Library
	handle   C.uintptr_t
	deferred bool
	finished atomic.Bool
}

// Result completes the reply with JSON; no bytes are the JSON value null.
func (r *Reply) Result(result []byte) error {
	if err := r.finish(); err != nil {
		return err
	}
	start, length := bytesOf(result)
	var out C.gfp_out
	return r.library.check(C.gfp_reply_set_result(r.library.table, r.handle, start, length, &out), &out)
}

// Fail completes the reply with an error; the plugin sees its text.
func (r *Reply) Fail(cause error) error {
	if err := r.finish(); err != nil {
		return err
	}
	// The library takes UTF-8 only; a reply it refused would leave the plugin without an answer.
	start, length := text(strings.ToValidUTF8(cause.Error(), "\uFFFD"))
	var out C.gfp_out
	return r.library.check(C.gfp_reply_set_error(r.library.table, r.handle, start, length, &out), &out)
}

func (r *Reply) finish() error {
	if !r.finished.CompareAndSwap(false, true) {
		return &Error{
			Status:  ErrLifecycleTaken,
			Code:    ErrLifecycleTaken.Code(),
			Message: "the reply was completed already",
			Detail:  json.RawMessage("{}"),
		}
	}
	return nil
}

// Provide replaces a built-in service ("db", "cache", "http", "email", "config", "translate", "log", "event") by a
// callback; nil puts the built-in one back. The policy is checked before the callback is called.
//
// A callback that refers to the manager keeps it alive until Close.
func (m *Manager) Provide(service string, callback HostFunc) error {
	start, length := text(service)
	var out C.gfp_out
	status := C.gfp_provide(m.core.library.table, m.core.handle, start, length, m.hostCallback(callback), &out)
	runtime.KeepAlive(m)
	return m.core.library.check(status, &out)
}

// Declaration describes a host function of the application's own.
type Declaration struct {
	// Name is what plugins call.
	Name string `json:"name"`
	// Permission is the type that a plugin's policy must grant.
	Permission string `json:"permission"`
	// Access is "read" or "write".
	Access string `json:"access"`
	// Target is a JSON pointer into the arguments, to what a permission's scope is matched against; nil = no scope.
	Target *string `json:"target"`
}

// Declare offers plugins a function of the application's own. declaration is a [Declaration] or the document itself.
func (m *Manager) Declare(declaration any, callback HostFunc) error {
	encoded, err := document(declaration)
	if err != nil {
		return err
	}
	start, length := textOf(encoded)
	var out C.gfp_out
	status := C.gfp_declare(m.core.library.table, m.core.handle, start, length, m.hostCallback(callback), &out)
	runtime.KeepAlive(m)
	return m.core.library.check(status, &out)
}

// hostCallback makes the user_data of a callback. The library's finalizer deletes it, also when the registration fails.
func (m *Manager) hostCallback(callback HostFunc) C.uintptr_t {
	if callback == nil {
		return 0
	}
	m.core.hasCallbacks.Store(true)
	return C.uintptr_t(newHandle(&hostCallback{library: m.core.library, answer: callback}))
}

type hostCallback struct {
	library *Library
	answer  HostFunc
}

// run calls the application and completes the reply, unless the application deferred it.
func (h *hostCallback) run(call HostCall) (status C.int32_t) {
	defer func() {
		if reason := recover(); reason != nil {
			status = call.reply.refuse(fmt.Errorf("the host's callback panicked: %v", reason))
		}
	}()
	result, err := h.answer(call)
	switch {
	case call.reply.deferred:
		return C.GOATFLOW_PLUGIN_REPLY_PENDING
	case err != nil:
		return call.reply.refuse(err)
	case len(result) == 0:
		return 0
	}
	if call.reply.Result(result) != nil {
		return C.int32_t(ErrHostReplyInvalid)
	}
	return 0
}

// refuse fails the plugin's call from within the callback and answers what the callback returns to the library.
func (r *Reply) refuse(cause error) C.int32_t {
	// Only a deferred reply can be completed already; then there is nothing left to say.
	_ = r.Fail(cause)
	if r.deferred {
		return C.GOATFLOW_PLUGIN_REPLY_PENDING
	}
	return 0
}

// hostCallOf copies the library's description of a call, whose memory is valid during the callback only. All texts share
// one allocation.
func hostCallOf(from *C.goatflow_plugin_host_call, reply *Reply, ctx context.Context) HostCall {
	var all strings.Builder
	fields := [...]string{
		view(from.plugin, from.plugin_len),
		view(from.service, from.service_len),
		view(from.function, from.function_len),
		view(from.request_id, from.request_id_len),
		view(from.language, from.language_len),
	}
	size := 0
	for _, field := range fields {
		size += len(field)
	}
	all.Grow(size)
	for _, field := range fields {
		all.WriteString(field)
	}
	rest := all.String()
	for i, field := range fields {
		fields[i], rest = rest[:len(field)], rest[len(field):]
	}
	return HostCall{
		Plugin:    fields[0],
		Service:   fields[1],
		Function:  fields[2],
		RequestID: fields[3],
		Language:  fields[4],
		Arguments: []byte(view((*C.char)(unsafe.Pointer(from.arguments)), from.arguments_len)),
		Chain:     json.RawMessage(view(from.chain, from.chain_len)),
		Depth:     int(from.depth),
		Remaining: remaining(int64(from.remaining_ms)),
		reply:     reply,
		ctx:       ctx,
	}
}

// remaining converts without overflow: a call without a limit has more milliseconds than a Duration can hold.
func remaining(ms int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	return time.Duration(min(ms, most)) * time.Millisecond
}

// view is the library's text in place, not a copy.
func view(start *C.char, length C.size_t) string {
	return unsafe.String((*byte)(unsafe.Pointer(start)), int(length))
}

// liveHandles counts handles that the library, or a call, still holds.
var liveHandles atomic.Int64

func newHandle(value any) cgo.Handle {
	liveHandles.Add(1)
	return cgo.NewHandle(value)
}

func deleteHandle(handle cgo.Handle) {
	liveHandles.Add(-1)
	handle.Delete()
}

// valueOf is a handle's value; false when the handle was deleted or never made.
func valueOf[T any](handle C.uintptr_t) (value T, ok bool) {
	if handle == 0 {
		return value, false
	}
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	value, ok = cgo.Handle(handle).Value().(T)
	return value, ok
}
