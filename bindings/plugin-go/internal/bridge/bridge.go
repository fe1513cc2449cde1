// Package bridge joins package plugin to whatever serves it as a native program, so that package plugin needs none of
// the modules that gRPC takes.
package bridge

import (
	"context"
	"sync/atomic"
)

// Call is one call of a plugin function, with what the protocol tells about it.
type Call struct {
	Function    string
	Arguments   []byte
	Traceparent string
	Tracestate  string
	RequestID   string
	Language    string
	// Callers are the plugins that are in the middle of a call, outermost first.
	Callers []string
}

// Set by package plugin.
var (
	// Register returns the registration document.
	Register func() ([]byte, error)
	// Dispatch runs the handler of a function and returns its result document. Host calls made with ctx, or a context made
	// from it, belong to this call.
	Dispatch func(ctx context.Context, call Call) []byte
)

// Host is the way to the host.
type Host struct {
	// Call makes one host call.
	Call func(ctx context.Context, function string, arguments []byte) ([]byte, *Failure)
	// Log writes one line to the plugin's log; levels are 0 (debug) to 3 (error).
	Log func(ctx context.Context, level int32, message string)
}

// Failure is a host call that was refused or failed.
type Failure struct {
	Code    string
	Message string
}

// Served is the host that the program is connected to, nil before.
var Served atomic.Pointer[Host]
