package main

import (
	"testing"

	plugin "example.com/plugin/internal/goatflow"
)

// The host's part is played by the test: it sees every host call and answers it.
func TestAnswers(t *testing.T) {
	plugin.TestHost = func(function string, arguments []byte) ([]byte, error) {
		return []byte(`[{"tickets":40}]`), nil
	}
	for _, row := range []struct{ function, args, want string }{
		{"hello", `{"name":"Ada"}`, `{"message":"Hello, Ada!"}`},
		{"hello", ``, `{"message":"Hello, World!"}`},
		{"tickets", ``, `{"tickets":40}`},
	} {
		if got := string(plugin.Invoke(row.function, []byte(row.args))); got != row.want {
			t.Errorf("%s(%s) = %s, want %s", row.function, row.args, got, row.want)
		}
	}
}
