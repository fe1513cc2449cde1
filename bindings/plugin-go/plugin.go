// Package plugin is the author's side of a GoatFlow plugin: a WebAssembly module that registers itself, answers calls
// with JSON, and reaches database, cache, mail, HTTP, configuration and other plugins through its host, as far as the
// administrator's policy lets it. Pointers, packing and memory ownership stay in this package.
//
//	package main
//
//	import plugin "github.com/goatkit/goatflow-plugin/bindings/plugin-go"
//
//	func init() {
//		plugin.Register(plugin.Registration{Name: "hello", Version: "1.0.0"})
//		plugin.Handle("hello", func(call *plugin.Call) (any, error) {
//			args := struct{ Name string }{"World"}
//			if err := call.Bind(&args); err != nil {
//				return nil, err
//			}
//			return map[string]string{"message": "Hello, " + args.Name + "!"}, nil
//		})
//	}
//
//	func main() {}
//
// Build it with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags="-s -w" -o hello.wasm
//
// Handle and Register belong in init: in this build mode main is never called. One instance answers one call at a time
// and keeps its package variables between calls, but the host may discard it whenever a call traps or times out, so what
// must last goes to the database or the cache.
//
// The same sources build for the author's own machine too, where [TestHost] and [Invoke] stand in for the host; that is
// how a plugin's handlers are unit tested with go test. With package native they make a native plugin.
package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
)

// Handler answers the calls of one plugin function.
//
// The result is turned into JSON; a [json.RawMessage] passes as it is and nil is an empty result. An error, and equally a
// panic, becomes the in-band document {"error": "…"}, with a "code" when the error is or wraps an [*Error] that has one.
type Handler func(call *Call) (any, error)

// Call is one call of a plugin function, with the services of the host for it.
type Call struct {
	Services
	// Function is the name the plugin was called by.
	Function string
	// Args is the JSON the caller sent; empty when it sent none, as scheduled jobs do.
	Args json.RawMessage
	// RequestID is the host's name for the request that the call belongs to, Language the language of the user, the other
	// two the W3C trace context. All are empty when unknown, as they always are in a WebAssembly module.
	RequestID, Language, Traceparent, Tracestate string

	callers []string
}

// Context ends when nobody waits for the call any more, and has its deadline. In a WebAssembly module, which the host
// stops itself, it never does.
func (c *Call) Context() context.Context {
	if c.ctx == nil {
		return context.Background()
	}
	return c.ctx
}

// Callers names the plugins that are in the middle of a call, outermost first; the last one made this call. It is empty
// when the host did. It is the host's word, whatever the arguments say.
func (c *Call) Callers() []string {
	return callersOf(c)
}

// Bind decodes the arguments into v, a pointer. Without arguments, v keeps its values, which makes them the defaults.
//
// A plugin's route receives path and query parameters as JSON strings; declare such a field as [json.Number] to take
// both 7 and "7".
func (c *Call) Bind(v any) error {
	if len(c.Args) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.Args, v); err != nil {
		return fmt.Errorf("arguments of %s: %w", c.Function, err)
	}
	return nil
}

var (
	registration *Registration
	handlers     = map[string]Handler{}
)

// Register says what this plugin is and offers. Call it once, from an init function; a second call panics.
func Register(r Registration) {
	if registration != nil {
		panic("plugin: Register called twice")
	}
	registration = &r
}

// Handle makes handler answer the calls of function. Call it from an init function; a second handler for one function
// panics, so that two files can't silently take each other's place.
func Handle(function string, handler Handler) {
	if _, taken := handlers[function]; taken {
		panic("plugin: Handle called twice for " + function)
	}
	handlers[function] = handler
}

// register returns the registration document.
func register() []byte {
	if registration == nil {
		panic("plugin: no init function called Register")
	}
	document, err := json.Marshal(registration)
	if err != nil {
		panic(err)
	}
	return document
}

// dispatch runs the handler of function and returns its result document. A panic ends the call, not the instance.
func dispatch(call *Call) (result []byte) {
	function := call.Function
	defer func() {
		if cause := recover(); cause != nil {
			call.Log.Error("%s: panic: %v\n%s", function, cause, debug.Stack())
			result = errorDocument(fmt.Errorf("panic: %v", cause))
		}
	}()
	handler, known := handlers[function]
	if !known {
		return errorDocument(fmt.Errorf("unknown function: %s", function))
	}
	value, err := handler(call)
	if err != nil {
		return errorDocument(err)
	}
	if value == nil {
		return nil
	}
	if raw, ok := value.(json.RawMessage); ok {
		return raw
	}
	document, err := json.Marshal(value)
	if err != nil {
		return errorDocument(fmt.Errorf("result of %s: %w", function, err))
	}
	return document
}
