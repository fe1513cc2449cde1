//go:build !wasip1

package plugin

import (
	"encoding/json"
	"fmt"
	"os"
)

// TestHost answers the host calls of handlers under test, outside a sandbox. To refuse one, return an [*Error].
// Without it, every host call fails with the code "host.no_provider".
var TestHost func(function string, arguments []byte) ([]byte, error)

// Invoke calls a plugin function as a host would, outside a sandbox, and returns its result document.
func Invoke(function string, arguments []byte) []byte {
	return dispatch(function, arguments)
}

func callHost(function string, arguments []byte) (json.RawMessage, error) {
	if TestHost == nil {
		return nil, &Error{Function: function, Code: "host.no_provider", Message: "plugin.TestHost is not set"}
	}
	return TestHost(function, arguments)
}

func writeLog(level int32, message string) {
	fmt.Fprintf(os.Stderr, "log %d: %s\n", level, message)
}
