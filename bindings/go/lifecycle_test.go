package goatflowplugin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

// versionFile writes a probe of this name and version, with routes.
func versionFile(t testing.TB, name, version string, routes ...string) string {
	t.Helper()
	type route struct {
		Method  string `json:"method"`
		Path    string `json:"path"`
		Handler string `json:"handler"`
	}
	registration := struct {
		Name    string  `json:"name"`
		Version string  `json:"version"`
		Routes  []route `json:"routes"`
	}{Name: name, Version: version}
	for _, path := range routes {
		registration.Routes = append(registration.Routes, route{"GET", path, "echo"})
	}
	encoded, err := json.Marshal(registration)
	must(t, err)
	path := filepath.Join(t.TempDir(), name+".wasm")
	must(t, os.WriteFile(path, probe(string(encoded)), 0o644))
	return path
}

func TestVersionsAreExchangedWithoutALostCall(t *testing.T) {
	manager := newManager(t, nil)
	first := versionFile(t, "probe", "1.0.0", "/a", "/b")
	second := versionFile(t, "probe", "1.1.0", "/b", "/c")
	_, err := manager.Load(first, nil)
	must(t, err)
	function, err := manager.Function("probe", "echo")
	must(t, err)
	defer function.Close()

	var stop atomic.Bool
	var group sync.WaitGroup
	var calls atomic.Int64
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			for !stop.Load() {
				result, err := function.Call(background, []byte(`{"a":1}`))
				if err != nil || string(result) != `{"a":1}` {
					t.Errorf("a call during the exchange: %q, %v", result, err)
					return
				}
				calls.Add(1)
			}
		}()
	}
	for range 3 {
		before := calls.Load()
		eventually(t, "calls are made", func() bool { return calls.Load() > before })
		report, err := manager.Replace(background, second, goatflowplugin.ReplaceOptions{})
		must(t, err)
		equal(t, report.Kind, "replaced")
		equal(t, report.OldVersion+" "+report.NewVersion, "1.0.0 1.1.0")
		equal(t, report.Drained, true)
		routes := report.Changes["routes"]
		if !slices.Equal(routes.Added, []string{"GET /c"}) || !slices.Equal(routes.Removed, []string{"GET /a"}) {
			t.Fatalf("changes are %+v", report.Changes)
		}
		back, err := manager.Rollback(background, "probe", goatflowplugin.ReplaceOptions{})
		must(t, err)
		equal(t, back.Kind+" "+back.NewVersion, "rolled_back 1.0.0")
	}
	stop.Store(true)
	group.Wait()
}

func TestAFailedReplaceLeavesTheOldVersion(t *testing.T) {
	manager := newManager(t, nil)
	_, err := manager.Load(versionFile(t, "probe", "1.0.0"), nil)
	must(t, err)
	broken := filepath.Join(t.TempDir(), "broken.wasm")
	must(t, os.WriteFile(broken, []byte("\x00asm\x01\x00\x00\x00"), 0o644))
	if _, err := manager.Replace(background, broken, goatflowplugin.ReplaceOptions{}); err == nil {
		t.Fatal("a module without functions was taken")
	}
	equal(t, call(t, manager, "probe", "echo", `1`), `1`)
	_, err = manager.Rollback(background, "probe", goatflowplugin.ReplaceOptions{})
	fails(t, err, goatflowplugin.ErrLifecycleNoPrevious)
	_, err = manager.Reload(background, "absent", goatflowplugin.ReplaceOptions{})
	fails(t, err, goatflowplugin.ErrLifecyclePluginNotFound)
	ended, cancel := context.WithCancel(background)
	cancel()
	_, err = manager.Reload(ended, "probe", goatflowplugin.ReplaceOptions{})
	fails(t, err, goatflowplugin.ErrPluginCancelled)
}

func TestReplaceOptionsAreHandedOver(t *testing.T) {
	drain, probation := 1500*time.Microsecond, time.Duration(0)
	encoded, err := json.Marshal(goatflowplugin.ReplaceOptions{Drain: &drain, SkipProbe: true, Probation: &probation})
	must(t, err)
	equal(t, string(encoded), `{"drain_ms":2,"probe":false,"probation_ms":0}`)
	manager := newManager(t, nil)
	_, err = manager.Load(versionFile(t, "probe", "1.0.0"), nil)
	must(t, err)
	report, err := manager.Reload(background, "probe", goatflowplugin.ReplaceOptions{Probation: &probation})
	must(t, err)
	equal(t, report.ProbationMS, 0)
	equal(t, report.Generation, 2)
}

func TestHealthIsTold(t *testing.T) {
	manager := withProbes(t, "", "probe")
	health, err := manager.Health("probe")
	must(t, err)
	equal(t, health.State, "unknown")
	if health.LastProbe != nil {
		t.Fatalf("nobody asked, but %+v", health.LastProbe)
	}
	health, err = manager.Probe("probe")
	must(t, err)
	equal(t, health.State, "healthy")
	equal(t, health.LastProbe.Healthy, true)
	health, err = manager.ResetCrashLoop("probe")
	must(t, err)
	equal(t, health.Recovery.CrashLoop, false)
	_, err = manager.Health("absent")
	fails(t, err, goatflowplugin.ErrLifecyclePluginNotFound)
}

func TestReportsAreTyped(t *testing.T) {
	isolation, err := open(t).IsolationReport()
	must(t, err)
	if isolation.Level < 0 || isolation.Level > 4 || len(isolation.Layers) == 0 {
		t.Fatalf("isolation is %+v", isolation)
	}
	manager := withProbes(t, "", "probe")
	report, err := manager.ShutdownReport(background)
	must(t, err)
	equal(t, report.Drained, true)
	equal(t, report.Plugins[0].Plugin+" "+report.Plugins[0].Outcome, "probe stopped")
}

func TestAWatchedPluginIsExchangedByItself(t *testing.T) {
	manager := newManager(t, nil)
	file := versionFile(t, "probe", "1.0.0")
	_, err := manager.Watch(file, goatflowplugin.WatchOptions{QuietMS: 20})
	must(t, err)
	equal(t, call(t, manager, "probe", "echo", `1`), `1`)
	next, err := os.ReadFile(versionFile(t, "probe", "2.0.0"))
	must(t, err)
	must(t, os.WriteFile(file, next, 0o644))
	eventually(t, "version 2.0.0 serves", func() bool {
		registration, err := manager.Registration("probe")
		return err == nil && strings.Contains(string(registration), "2.0.0")
	})
	watches, err := manager.Watches()
	must(t, err)
	if !strings.Contains(string(watches), file) {
		t.Fatalf("watches are %s", watches)
	}
	must(t, manager.Unwatch(file))
	fails(t, manager.Unwatch(file), goatflowplugin.ErrLifecycleWatchConflict)
}

// nativeManager has the contract suite, as a native plugin, loaded.
func nativeManager(t testing.TB) *goatflowplugin.Manager {
	t.Helper()
	policy := `{"version":1,"status":"approved","permissions":[],"call_timeout":"60s"}`
	manager := newManager(t, map[string]any{
		"version": 1, "policies": map[string]any{"contract-suite": json.RawMessage(policy)},
	})
	name, err := manager.Load(samplePath("contract-go"), nil)
	must(t, err)
	equal(t, name, "contract-suite")
	return manager
}

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestCallsOfNativePluginsEatNoThreads(t *testing.T) {
	manager := nativeManager(t)
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	const goroutines = 1000
	before := threads(t)
	var begun sync.WaitGroup
	var group sync.WaitGroup
	begun.Add(goroutines)
	errs := make(chan error, goroutines)
	for range goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			begun.Done()
			_, err := manager.Call(ctx, "contract-suite", "sleep", []byte(`{"ms":50000}`))
			errs <- err
		}()
	}
	begun.Wait()
	eventually(t, "as many calls are served as may be", func() bool {
		var stats struct {
			InFlight int `json:"in_flight"`
		}
		encoded, err := manager.Stats("contract-suite")
		must(t, err)
		must(t, json.Unmarshal(encoded, &stats))
		return stats.InFlight >= 64
	})
	if more := threads(t) - before; more >= 100 {
		t.Errorf("%d calls in a native plugin take %d threads", goroutines, more)
	}
	cancel()
	group.Wait()
	for range goroutines {
		fails(t, <-errs, goatflowplugin.ErrPluginCancelled)
	}
	equal(t, call(t, manager, "contract-suite", "echo", `{"a":1}`), `{"a":1}`)
}

func TestEveryWayOfCallingServesNativePlugins(t *testing.T) {
	manager := nativeManager(t)
	for name, caller := range callers(t, manager, "contract-suite", "echo") {
		result, err := caller(background, []byte(`{"a":1}`))
		must(t, err)
		if string(result) != `{"a":1}` {
			t.Errorf("%s: %q", name, result)
		}
	}
	result, err := manager.Call(background, "contract-suite", "nothing", nil)
	must(t, err)
	if result != nil {
		t.Errorf("nothing answers %q", result)
	}
	_, err = manager.Call(background, "absent", "echo", nil)
	fails(t, err, goatflowplugin.ErrLifecyclePluginNotFound)
	ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	_, err = manager.Call(ctx, "contract-suite", "sleep", []byte(`{"ms":50000}`))
	fails(t, err, goatflowplugin.ErrPluginDeadline)
}

func TestACrashedNativePluginIsStartedAgain(t *testing.T) {
	manager := nativeManager(t)
	restarted := make(chan struct{}, 1)
	subscription, err := manager.Subscribe(
		map[string]any{"kinds": []string{goatflowplugin.EventPluginRestarted}},
		func(goatflowplugin.Event) { restarted <- struct{}{} },
	)
	must(t, err)
	defer subscription.Close()
	if _, err := manager.Call(background, "contract-suite", "crash", nil); err == nil {
		t.Fatal("a plugin that ended answered")
	}
	select {
	case <-restarted:
	case <-time.After(20 * time.Second):
		t.Fatal("it was not started again")
	}
	equal(t, call(t, manager, "contract-suite", "echo", `1`), `1`)
}

func TestTracesAreCheckedAndHandedOver(t *testing.T) {
	manager := nativeManager(t)
	ctx := goatflowplugin.WithTrace(goatflowplugin.WithRequestID(background, "r"), traceParent, "a=b")
	_, err := manager.Call(ctx, "contract-suite", "echo", nil)
	must(t, err)
	for _, wrong := range [][2]string{{"x", ""}, {"", "a=b"}, {traceParent, "="}} {
		_, err := manager.Call(goatflowplugin.WithTrace(background, wrong[0], wrong[1]), "contract-suite", "echo", nil)
		fails(t, err, goatflowplugin.ErrArgumentInvalid)
	}
}

func TestAPluginMayBecomeAProcessAndBack(t *testing.T) {
	module := versionFile(t, "contract-suite", "1.0.0")
	manager := newManager(t, nil)
	_, err := manager.Load(module, nil)
	must(t, err)
	function, err := manager.Function("contract-suite", "echo")
	must(t, err)
	defer function.Close()
	for n := range 4 {
		result, err := function.Call(background, []byte(fmt.Sprint(n)))
		must(t, err)
		equal(t, string(result), fmt.Sprint(n))
		path := module
		if n%2 == 0 {
			path = samplePath("contract-go")
		}
		_, err = manager.Replace(background, path, goatflowplugin.ReplaceOptions{})
		must(t, err)
	}
}
