package goatflowplugin_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

func TestOpenPrefersTheExplicitPath(t *testing.T) {
	path := os.Getenv(goatflowplugin.LibraryVariable)
	t.Setenv(goatflowplugin.LibraryVariable, "/nonexistent")
	library, err := goatflowplugin.Open(path)
	must(t, err)
	equal(t, library.Path(), path)
	again, err := goatflowplugin.Open(path)
	must(t, err)
	equal(t, again, library)
}

func TestOpenReportsWhatItTriedAndWhy(t *testing.T) {
	directory := t.TempDir()
	must(t, os.WriteFile(filepath.Join(directory, goatflowplugin.LibraryName), []byte("no library"), 0o644))
	for _, test := range []struct{ origin, path, variable, bundled, reason string }{
		{"path", "/nonexistent", "", "", "No such file"},
		{"path", "libm.so.6", "", "", "no function goatflow_plugin_"},
		{"environment", "", "/nonexistent", "/also/ignored", "No such file"},
		{"bundled", "", "", directory, "file too short"},
	} {
		t.Setenv(goatflowplugin.LibraryVariable, test.variable)
		goatflowplugin.LibraryDirectory = test.bundled
		_, err := goatflowplugin.Open(test.path)
		goatflowplugin.LibraryDirectory = ""
		var failure *goatflowplugin.LibraryError
		if !errors.As(err, &failure) {
			t.Fatalf("%+v: %v", test, err)
		}
		equal(t, failure.Origin, test.origin)
		if !strings.Contains(failure.Reason, test.reason) || !strings.Contains(err.Error(), failure.Path) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestOpenFindsABundledLibrary(t *testing.T) {
	directory := t.TempDir()
	bundled := filepath.Join(directory, goatflowplugin.LibraryName)
	must(t, os.Symlink(os.Getenv(goatflowplugin.LibraryVariable), bundled))
	t.Setenv(goatflowplugin.LibraryVariable, "")
	goatflowplugin.LibraryDirectory = directory
	defer func() { goatflowplugin.LibraryDirectory = "" }()
	library, err := goatflowplugin.Open("")
	must(t, err)
	equal(t, library.Path(), bundled)
}

func TestOpenAsksTheSystemLast(t *testing.T) {
	t.Setenv(goatflowplugin.LibraryVariable, "")
	library, err := goatflowplugin.Open("")
	if err == nil { // installed on this machine
		equal(t, library.Path(), goatflowplugin.LibraryName)
		return
	}
	var failure *goatflowplugin.LibraryError
	if !errors.As(err, &failure) || failure.Origin != "system" {
		t.Fatal(err)
	}
}

func TestHeaderIsTheLibrarysHeader(t *testing.T) {
	ours, err := os.ReadFile("include/goatflow_plugin.h")
	must(t, err)
	theirs, err := os.ReadFile("../../include/goatflow_plugin.h")
	must(t, err)
	if string(ours) != string(theirs) {
		t.Fatal("cp include/goatflow_plugin.h bindings/go/include/ and look at what changed")
	}
}

// A function that the header gains must be bound, or be named here.
func TestEveryFunctionOfTheHeaderIsBound(t *testing.T) {
	notBound := map[string]string{
		"manager_call":           "manager_call_into does the same without an allocation",
		"function_call":          "function_call_into does the same without an allocation",
		"manager_call_async":     "manager_call_enqueue needs no callback on a foreign thread",
		"manager_replace_async":  "exchanges are rare: a goroutine that blocks will do",
		"manager_reload_async":   "as manager_replace_async",
		"manager_rollback_async": "as manager_replace_async",
		"operation_wait":         "would block a thread; results come from the completion queue",
	}
	header, err := os.ReadFile("include/goatflow_plugin.h")
	must(t, err)
	shim, err := os.ReadFile("shim.c")
	must(t, err)
	declarations := regexp.MustCompile(`(?m)^[a-z][a-z0-9_ ]*[ *]goatflow_plugin_([a-z_]+)\(`)
	found := declarations.FindAllStringSubmatch(string(header), -1)
	if len(found) < 50 {
		t.Fatalf("only %d functions found", len(found))
	}
	for _, declaration := range found {
		name := declaration[1]
		bound := strings.Contains(string(shim), " X("+name+")")
		if _, excused := notBound[name]; bound == excused {
			t.Errorf("%s: bound %v, excused %v", name, bound, excused)
		}
	}
}

func TestVersionsAgree(t *testing.T) {
	library := open(t)
	equal(t, library.ABI(), goatflowplugin.HeaderABI)
	if !regexp.MustCompile(`^\d+\.\d+\.\d+`).MatchString(library.Version()) {
		t.Fatal(library.Version())
	}
}

func TestDocumentsAreJSONObjects(t *testing.T) {
	library := open(t)
	for name, document := range map[string]func() (json.RawMessage, error){
		"doctor": library.Doctor, "config schema": library.ConfigSchema, "policy schema": library.PolicySchema,
	} {
		encoded, err := document()
		must(t, err)
		var object map[string]any
		if err := json.Unmarshal(encoded, &object); err != nil || len(object) == 0 {
			t.Errorf("%s: %v %s", name, err, encoded)
		}
	}
}

func TestStatusesAreTheLibrarys(t *testing.T) {
	library := open(t)
	table, err := library.StatusTable()
	must(t, err)
	for _, row := range table {
		equal(t, row.Status.Code(), row.Code)
		equal(t, library.StatusCode(row.Status), row.Code)
		equal(t, row.Status.Error(), row.Code)
	}
	equal(t, goatflowplugin.Status(12345).Code(), "unknown")
	equal(t, library.StatusCode(12345), "unknown")
	equal(t, goatflowplugin.ErrPolicySQLTableDenied, 410)
}

func TestPolicyReportsTellWhatIsWrong(t *testing.T) {
	library := open(t)
	valid, err := library.ValidatePolicy(permitted([3]string{"db", "read", "ticket"}))
	must(t, err)
	invalid, err := library.ValidatePolicy(`{"version":1,"status":"aproved"}`)
	must(t, err)
	if !json.Valid(valid) || !json.Valid(invalid) || string(valid) == string(invalid) {
		t.Fatalf("%s\n%s", valid, invalid)
	}
	if !strings.Contains(string(invalid), "/status") {
		t.Errorf("the report does not name the field: %s", invalid)
	}
	_, err = library.ValidatePolicy(func() {})
	fails(t, err, goatflowplugin.ErrArgumentJSON)
}
