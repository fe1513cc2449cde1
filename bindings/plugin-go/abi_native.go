//go:build !wasip1

package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/goatkit/goatflow-plugin/bindings/plugin-go/internal/bridge"
)

// TestHost answers the host calls of handlers under test, outside a sandbox. To refuse one, return an [*Error].
// Without it, every host call fails with the code "host.no_provider".
var TestHost func(function string, arguments []byte) ([]byte, error)

// Invoke calls a plugin function as a host would, outside a sandbox, and returns its result document.
func Invoke(function string, arguments []byte) []byte {
	return dispatch(&Call{Function: function, Args: arguments})
}

func init() {
	bridge.Register = func() ([]byte, error) {
		if registration == nil {
			return nil, errors.New("no init function called Register")
		}
		return register(), nil
	}
	bridge.Dispatch = func(ctx context.Context, call bridge.Call) []byte {
		return dispatch(&Call{
			Services: With(ctx), Function: call.Function, Args: call.Arguments, RequestID: call.RequestID, Language: call.Language,
			Traceparent: call.Traceparent, Tracestate: call.Tracestate, callers: call.Callers,
		})
	}
}

func callHost(ctx context.Context, function string, arguments []byte) (json.RawMessage, error) {
	if host := bridge.Served.Load(); host != nil {
		reply, failure := host.Call(orBackground(ctx), function, arguments)
		if failure != nil {
			return nil, &Error{Function: function, Code: failure.Code, Message: failure.Message}
		}
		return reply, nil
	}
	if TestHost == nil {
		return nil, &Error{Function: function, Code: "host.no_provider", Message: "plugin.TestHost is not set"}
	}
	return TestHost(function, arguments)
}

func writeLog(ctx context.Context, level int32, message string) {
	if host := bridge.Served.Load(); host != nil {
		host.Log(orBackground(ctx), level, message)
		return
	}
	fmt.Fprintf(os.Stderr, "log %d: %s\n", level, message)
}

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

func callersOf(call *Call) []string {
	return call.callers
}
