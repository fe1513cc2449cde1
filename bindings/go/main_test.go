package goatflowplugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

// What the test harness provides. Nothing is skipped: without it the tests fail.
var environment = map[string]string{
	"GOATFLOW_PLUGIN_LIBRARY": "path of libgoatflow_plugin.so.1",
	"GOATFLOW_TEST_PLUGINS":   "directory with ticket-stats-go, ticket-stats-c and reference.wasm",
	"GOATFLOW_TEST_SQL":       "path of tickets.sql",
}

func TestMain(m *testing.M) {
	for name, meaning := range environment {
		if os.Getenv(name) == "" {
			fmt.Fprintf(os.Stderr, "%s is not set (%s): run the tests by `make test`\n", name, meaning)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

var background = context.Background()

func open(t testing.TB) *goatflowplugin.Library {
	t.Helper()
	library, err := goatflowplugin.Open("")
	must(t, err)
	return library
}

func newManager(t testing.TB, config any) *goatflowplugin.Manager {
	t.Helper()
	manager, err := open(t).NewManager(config)
	must(t, err)
	t.Cleanup(func() { manager.Close() })
	return manager
}

// withProbes is a manager with probes of these names loaded, each with the given policy (none if empty).
func withProbes(t testing.TB, policy string, names ...string) *goatflowplugin.Manager {
	t.Helper()
	policies := map[string]json.RawMessage{}
	if policy != "" {
		for _, name := range names {
			policies[name] = json.RawMessage(policy)
		}
	}
	manager := newManager(t, map[string]any{"version": 1, "policies": policies})
	for _, name := range names {
		loaded, err := manager.Load(probeFile(t, name), nil)
		must(t, err)
		equal(t, loaded, name)
	}
	return manager
}

// permitted is an approved policy with these permissions, each as type, access and scope.
func permitted(permissions ...[3]string) string {
	var rows []string
	for _, permission := range permissions {
		rows = append(rows, fmt.Sprintf(`{"type":%q,"access":%q,"scope":[%q]}`,
			permission[0], permission[1], permission[2]))
	}
	return fmt.Sprintf(`{"version":1,"status":"approved","permissions":[%s]}`, strings.Join(rows, ","))
}

func call(t testing.TB, manager *goatflowplugin.Manager, plugin, function, arguments string) string {
	t.Helper()
	result, err := manager.Call(background, plugin, function, []byte(arguments))
	must(t, err)
	return string(result)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// fails demands an *Error with this status whose fields are filled in.
func fails(t testing.TB, err error, status goatflowplugin.Status) *goatflowplugin.Error {
	t.Helper()
	if !errors.Is(err, status) {
		t.Fatalf("got %v, want %s", err, status)
	}
	var failure *goatflowplugin.Error
	if !errors.As(err, &failure) {
		t.Fatalf("%v is no *Error", err)
	}
	equal(t, failure.Status, status)
	equal(t, failure.Code, status.Code())
	if failure.Message == "" {
		t.Fatalf("%s has no message", status)
	}
	if !json.Valid(failure.Detail) {
		t.Fatalf("detail of %s is no JSON: %q", status, failure.Detail)
	}
	return failure
}

// eventually waits for a condition that something else brings about.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if condition() {
			return
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("never came true: %s", what)
}

// errorCode is the code in the JSON that a probe answers for a failed host call.
func errorCode(t testing.TB, answer string) string {
	t.Helper()
	var failure struct{ Code string }
	if err := json.Unmarshal([]byte(answer), &failure); err != nil {
		t.Fatalf("%q: %v", answer, err)
	}
	return failure.Code
}

func samplePath(name string) string { return filepath.Join(os.Getenv("GOATFLOW_TEST_PLUGINS"), name) }

// ticketDatabase configures a fresh ticket database in memory.
func ticketDatabase() map[string]any {
	return map[string]any{
		"version": 1,
		"database": map[string]any{
			"sqlite": map[string]any{"path": ":memory:", "init_script": os.Getenv("GOATFLOW_TEST_SQL")},
		},
	}
}
