package goatflowplugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

func TestConfigurationIsTakenInAnyForm(t *testing.T) {
	for _, config := range []any{
		nil,
		`{"version":1}`,
		[]byte(`{"version":1}`),
		json.RawMessage(`{"version":1}`),
		map[string]int{"version": 1},
		struct {
			Version int `json:"version"`
		}{1},
	} {
		equal(t, newManager(t, config).Library(), open(t))
	}
}

func TestConfigurationMistakesAreRefused(t *testing.T) {
	for _, test := range []struct {
		config any
		status goatflowplugin.Status
	}{
		{`{"version":1,"databse":{}}`, goatflowplugin.ErrArgumentConfig},
		{`{"version":"one"}`, goatflowplugin.ErrArgumentConfig},
		{`{"version":1`, goatflowplugin.ErrArgumentConfig},
		{"\xff", goatflowplugin.ErrArgumentUTF8},
		{make(chan int), goatflowplugin.ErrArgumentJSON},
	} {
		_, err := open(t).NewManager(test.config)
		fails(t, err, test.status)
	}
}

func TestLoadSaysWhatIsWrongWithAPackage(t *testing.T) {
	manager := newManager(t, nil)
	directory := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(directory, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o644))
		return path
	}
	write("empty/readme.txt", "")
	write("broken/plugin.yaml", ":\n\t-")
	write("moduleless/plugin.yaml", "name: moduleless\nversion: 1.0.0\nruntime: wasm\nwasm: absent.wasm\n")
	for _, test := range []struct {
		path   string
		status goatflowplugin.Status
	}{
		{filepath.Join(directory, "absent.wasm"), goatflowplugin.ErrPackageNotFound},
		{write("garbage.wasm", "garbage"), goatflowplugin.ErrPackageModuleInvalid},
		{write("hollow.wasm", "\x00asm\x01\x00\x00\x00"), goatflowplugin.ErrPackageContract},
		{write("unregistered.wasm", string(probe("no JSON"))), goatflowplugin.ErrPackageRegistrationInvalid},
		{filepath.Join(directory, "empty"), goatflowplugin.ErrPackageManifestMissing},
		{filepath.Join(directory, "broken"), goatflowplugin.ErrPackageManifestInvalid},
		{filepath.Join(directory, "moduleless"), goatflowplugin.ErrPackageModuleMissing},
		{"\xff", goatflowplugin.ErrArgumentUTF8},
	} {
		name, err := manager.Load(test.path, nil)
		fails(t, err, test.status)
		equal(t, name, "")
	}
	_, err := manager.Load("x", make(chan int))
	fails(t, err, goatflowplugin.ErrArgumentJSON)
}

func TestLifeOfAPlugin(t *testing.T) {
	manager := newManager(t, nil)
	path := probeFile(t, "probe")
	name, err := manager.Load(path, nil)
	must(t, err)
	equal(t, name, "probe")
	_, err = manager.Load(path, nil)
	failure := fails(t, err, goatflowplugin.ErrLifecycleAlreadyLoaded)
	equal(t, failure.Plugin, "probe")

	list, err := manager.List()
	must(t, err)
	if !strings.Contains(string(list), `"probe"`) {
		t.Fatalf("%s", list)
	}
	registration, err := manager.Registration("probe")
	must(t, err)
	if !strings.Contains(string(registration), `"version":"1.0.0"`) {
		t.Fatalf("%s", registration)
	}

	equal(t, call(t, manager, "probe", "echo", `{"a":1}`), `{"a":1}`)
	must(t, manager.Disable(background, "probe"))
	_, err = manager.Call(background, "probe", "echo", nil)
	fails(t, err, goatflowplugin.ErrLifecycleDisabled)
	must(t, manager.Enable("probe"))
	equal(t, call(t, manager, "probe", "echo", `{}`), `{}`)

	stats, err := manager.Stats("probe")
	must(t, err)
	all, err := manager.Stats("")
	must(t, err)
	if !json.Valid(stats) || !strings.Contains(string(all), `"probe"`) {
		t.Fatalf("%s\n%s", stats, all)
	}

	ctx, cancel := context.WithTimeout(background, 5*time.Second)
	defer cancel()
	must(t, manager.Unload(ctx, "probe"))
	_, err = manager.Call(background, "probe", "echo", nil)
	fails(t, err, goatflowplugin.ErrLifecyclePluginNotFound)
	_, err = manager.Load(path, `{}`)
	must(t, err)
	equal(t, call(t, manager, "probe", "echo", `[]`), `[]`)
}

func TestPluginsThatAreNotThere(t *testing.T) {
	manager := newManager(t, nil)
	for name, attempt := range map[string]func() error{
		"Call":         func() error { _, err := manager.Call(background, "absent", "x", nil); return err },
		"Unload":       func() error { return manager.Unload(background, "absent") },
		"Enable":       func() error { return manager.Enable("absent") },
		"Disable":      func() error { return manager.Disable(background, "absent") },
		"Registration": func() error { _, err := manager.Registration("absent"); return err },
		"Stats":        func() error { _, err := manager.Stats("absent"); return err },
	} {
		t.Run(name, func(t *testing.T) { fails(t, attempt(), goatflowplugin.ErrLifecyclePluginNotFound) })
	}
}

func TestLogsAreKeptAndCleared(t *testing.T) {
	manager := withProbes(t, "", "first", "second")
	call(t, manager, "first", "log", "a line of the first")
	call(t, manager, "second", "log", "a line of the second")
	logs, err := manager.Logs(nil)
	must(t, err)
	for _, line := range []string{"a line of the first", "a line of the second"} {
		if !strings.Contains(string(logs), line) {
			t.Fatalf("no %q in %s", line, logs)
		}
	}
	logs, err = manager.Logs(map[string]any{"plugin": "first", "limit": 10})
	must(t, err)
	if !strings.Contains(string(logs), "of the first") || strings.Contains(string(logs), "of the second") {
		t.Fatalf("%s", logs)
	}
	_, err = manager.Logs(`{"plugn":"first"}`)
	if err == nil {
		t.Fatal("an unknown filter field was accepted")
	}
	_, err = manager.Logs(make(chan int))
	fails(t, err, goatflowplugin.ErrArgumentJSON)
	must(t, manager.ClearLogs())
	logs, err = manager.Logs(nil)
	must(t, err)
	if strings.Contains(string(logs), "a line") {
		t.Fatalf("%s", logs)
	}
}

// spin starts a call that only its context ends, and returns when the plugin runs it.
func spin(t *testing.T, manager *goatflowplugin.Manager, ctx context.Context, plugin string) *goatflowplugin.Operation {
	t.Helper()
	operation, err := manager.CallAsync(ctx, plugin, "spin", nil)
	must(t, err)
	// A plugin has one instance: as soon as it is busy, another call can't get it.
	eventually(t, "the plugin is busy", func() bool {
		short, cancel := context.WithTimeout(background, 5*time.Millisecond)
		defer cancel()
		_, err := manager.Call(short, plugin, "echo", nil)
		return err != nil
	})
	return operation
}

func TestDrainingWaitsUntilTheDeadline(t *testing.T) {
	for name, drain := range map[string]func(*goatflowplugin.Manager, context.Context) error{
		"Unload":  func(m *goatflowplugin.Manager, ctx context.Context) error { return m.Unload(ctx, "probe") },
		"Disable": func(m *goatflowplugin.Manager, ctx context.Context) error { return m.Disable(ctx, "probe") },
	} {
		t.Run(name, func(t *testing.T) {
			manager := withProbes(t, "", "probe")
			ctx, cancel := context.WithCancel(background)
			operation := spin(t, manager, ctx, "probe")
			short, cancelShort := context.WithTimeout(background, 50*time.Millisecond)
			defer cancelShort()
			fails(t, drain(manager, short), goatflowplugin.ErrLifecycleBusy)
			cancel()
			_, err := operation.Wait()
			fails(t, err, goatflowplugin.ErrPluginCancelled)
		})
	}
}

func TestDrainingStopsWithItsContext(t *testing.T) {
	manager := withProbes(t, "", "probe")
	spinning, stop := context.WithCancel(background)
	operation := spin(t, manager, spinning, "probe")
	ctx, cancel := context.WithCancel(background)
	time.AfterFunc(20*time.Millisecond, cancel)
	err := manager.Unload(ctx, "probe")
	fails(t, err, goatflowplugin.ErrPluginCancelled)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	fails(t, manager.Disable(ctx, "probe"), goatflowplugin.ErrPluginCancelled)
	stop()
	_, _ = operation.Wait()
}

func TestShutdownEndsTheManager(t *testing.T) {
	manager := withProbes(t, "", "probe")
	ctx, cancel := context.WithTimeout(background, 5*time.Second)
	defer cancel()
	report, err := manager.Shutdown(ctx)
	must(t, err)
	if !json.Valid(report) {
		t.Fatalf("%s", report)
	}
	_, err = manager.Call(background, "probe", "echo", nil)
	fails(t, err, goatflowplugin.ErrLifecycleShutDown)
	_, err = manager.Load(probeFile(t, "late"), nil)
	fails(t, err, goatflowplugin.ErrLifecycleShutDown)
	_, err = manager.CallAsync(background, "probe", "echo", nil)
	if err == nil {
		t.Fatal("a call was started after the shutdown")
	}
	cancel()
	_, err = manager.Shutdown(ctx)
	fails(t, err, goatflowplugin.ErrPluginCancelled)
}

func TestShutdownReportsWhatDoesNotEnd(t *testing.T) {
	manager := withProbes(t, "", "probe")
	ctx, stop := context.WithCancel(background)
	defer stop()
	operation := spin(t, manager, ctx, "probe")
	short, cancel := context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	report, err := manager.Shutdown(short)
	t.Logf("%s %v", report, err)
	if err == nil && !strings.Contains(string(report), "probe") {
		t.Fatalf("the report does not name the plugin: %s", report)
	}
	stop()
	_, _ = operation.Wait()
}

func TestEverythingFailsCleanlyAfterClose(t *testing.T) {
	manager := withProbes(t, "", "probe")
	function, err := manager.Function("probe", "echo")
	must(t, err)
	must(t, manager.Close())
	must(t, manager.Close())
	ctx, cancel := context.WithTimeout(background, time.Second)
	defer cancel()
	callback := func(goatflowplugin.HostCall) ([]byte, error) { return nil, nil }
	handles := goatflowplugin.LiveHandles()
	for name, attempt := range map[string]func() error{
		"Call":         func() error { _, err := manager.Call(ctx, "probe", "echo", nil); return err },
		"AppendCall":   func() error { _, err := manager.AppendCall(ctx, nil, "probe", "echo", nil); return err },
		"CallAsync":    func() error { _, err := manager.CallAsync(ctx, "probe", "echo", nil); return err },
		"Function":     func() error { _, err := manager.Function("probe", "echo"); return err },
		"Load":         func() error { _, err := manager.Load("x", nil); return err },
		"Unload":       func() error { return manager.Unload(ctx, "probe") },
		"List":         func() error { _, err := manager.List(); return err },
		"Registration": func() error { _, err := manager.Registration("probe"); return err },
		"Enable":       func() error { return manager.Enable("probe") },
		"Disable":      func() error { return manager.Disable(ctx, "probe") },
		"Stats":        func() error { _, err := manager.Stats(""); return err },
		"Logs":         func() error { _, err := manager.Logs(nil); return err },
		"ClearLogs":    func() error { return manager.ClearLogs() },
		"Policy":       func() error { _, err := manager.Policy("probe"); return err },
		"SetPolicy":    func() error { _, err := manager.SetPolicy("probe", nil, 0); return err },
		"Provide":      func() error { return manager.Provide("db", callback) },
		"Declare":      func() error { return manager.Declare(goatflowplugin.Declaration{Name: "x"}, callback) },
		"Subscribe":    func() error { _, err := manager.Subscribe(nil, func(goatflowplugin.Event) {}); return err },
		"Shutdown":     func() error { _, err := manager.Shutdown(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) { fails(t, attempt(), goatflowplugin.ErrArgumentHandle) })
	}
	if _, err := function.Call(ctx, nil); err == nil {
		t.Fatal("a function outlived its manager")
	}
	must(t, function.Close())
	eventually(t, "refused callbacks are finalized", func() bool { return goatflowplugin.LiveHandles() <= handles })
}

func TestForgottenManagersAreCollected(t *testing.T) {
	before := goatflowplugin.LiveHandles()
	const count = 5
	for range count {
		manager, err := open(t).NewManager(nil)
		must(t, err)
		must(t, manager.Provide("config", func(goatflowplugin.HostCall) ([]byte, error) { return nil, nil }))
		_, err = manager.Load(probeFile(t, "probe"), nil)
		must(t, err)
		operation, err := manager.CallAsync(background, "probe", "echo", []byte(`{}`))
		must(t, err)
		_, err = operation.Wait()
		must(t, err)
	}
	eventually(t, "the managers' callbacks are finalized", func() bool {
		runtime.GC()
		return goatflowplugin.LiveHandles() <= before
	})
}

func TestSamplePluginsAgree(t *testing.T) {
	manager := newManager(t, ticketDatabase())
	var answers []string
	for _, sample := range []string{"ticket-stats-go", "ticket-stats-c"} {
		name, err := manager.Load(samplePath(sample), nil)
		must(t, err)
		equal(t, name, sample)
		var all []string
		for _, step := range [][2]string{
			{"overview", `{}`}, {"widget", `{}`}, {"ticket", `{"id":1}`}, {"users", `{}`},
			{"remember", `{"key":"k","value":"v"}`}, {"recall", `{"key":"k"}`},
		} {
			all = append(all, strings.ReplaceAll(call(t, manager, name, step[0], step[1]), sample, "SAMPLE"))
		}
		answers = append(answers, strings.Join(all, "\n"))
		if !strings.Contains(all[3], "policy.sql.table_denied") {
			t.Errorf("users: %s", all[3])
		}
	}
	if answers[0] != answers[1] {
		t.Fatal(strings.Join(answers, "\n\n"))
	}
}

func TestReferencePluginGreets(t *testing.T) {
	manager := newManager(t, nil)
	name, err := manager.Load(samplePath("reference.wasm"), nil)
	must(t, err)
	equal(t, call(t, manager, name, "hello", `{"name":"GoatKit"}`),
		`{"message":"Hello from WASM, GoatKit!","runtime":"tinygo-wasm"}`)
}
