package goatflowplugin_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

// usage is what a process holds that could leak.
type usage struct {
	residentKiB, maps, descriptors, threads, goroutines int
	handles                                             int64
}

func measure(t testing.TB) usage {
	t.Helper()
	runtime.GC()
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	resident, err := strconv.Atoi(strings.Fields(after)[0])
	must(t, err)
	maps, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	descriptors, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return usage{
		residentKiB: resident,
		maps:        strings.Count(string(maps), "\n"),
		descriptors: len(descriptors),
		threads:     threads(t),
		goroutines:  runtime.NumGoroutine(),
		handles:     goatflowplugin.LiveHandles(),
	}
}

// One life of a manager that uses everything: callbacks, subscriptions, handles, contexts, asynchronous calls.
func oneLife(t *testing.T, path string) {
	manager, err := open(t).NewManager(`{"version":1,"policies":{"probe":` + orgPolicy + `}}`)
	must(t, err)
	must(t, manager.Declare(goatflowplugin.Declaration{Name: "org_id", Permission: "org", Access: "read"},
		func(call goatflowplugin.HostCall) ([]byte, error) { return call.Arguments, nil }))
	subscription, err := manager.Subscribe(nil, func(goatflowplugin.Event) {})
	must(t, err)
	for range 3 {
		plugin, err := manager.Load(path, nil)
		must(t, err)
		function, err := manager.Function(plugin, "echo")
		must(t, err)
		ctx, cancel := context.WithTimeout(background, time.Minute)
		_, err = function.Call(ctx, []byte(`{}`))
		must(t, err)
		_, err = manager.Call(ctx, plugin, "host:org_id", []byte(`{}`))
		must(t, err)
		_, err = manager.Call(ctx, plugin, "echo", text(50_000))
		must(t, err)
		_, err = manager.Call(ctx, plugin, "trap", nil)
		fails(t, err, goatflowplugin.ErrPluginTrap)
		operation, err := manager.CallAsync(ctx, plugin, "host:org_id", []byte(`{}`))
		must(t, err)
		_, err = operation.Wait()
		must(t, err)
		cancel()
		must(t, function.Close())
		must(t, manager.Unload(background, plugin))
	}
	must(t, subscription.Close())
	must(t, manager.Close())
}

func TestNothingLeaks(t *testing.T) {
	lives := 100
	if raceEnabled {
		lives = 30
	}
	path := filepath.Join(t.TempDir(), "probe.wasm")
	must(t, os.WriteFile(path, probe(`{"name":"probe","version":"1.0.0"}`), 0o644))
	for range lives / 2 {
		oneLife(t, path)
	}
	before := measure(t)
	for range lives {
		oneLife(t, path)
	}
	var after usage
	eventually(t, "callbacks, threads, descriptors and maps are back", func() bool {
		after = measure(t)
		return after.handles <= before.handles && after.threads <= before.threads+1 &&
			after.descriptors <= before.descriptors && after.goroutines <= before.goroutines
	})
	t.Logf("before %+v, after %d lives %+v", before, lives, after)
	if grown := after.residentKiB - before.residentKiB; grown > 4096 && !raceEnabled {
		t.Errorf("resident memory grew by %d KiB", grown)
	}
	if after.maps > before.maps+16 {
		t.Errorf("memory maps grew from %d to %d", before.maps, after.maps)
	}
}

// Load, call, unload in one manager. The harness may ask for more rounds by GOATFLOW_TEST_CYCLES.
func TestLoadingAndUnloadingLeaksNothing(t *testing.T) {
	cycles := 500
	if asked := os.Getenv("GOATFLOW_TEST_CYCLES"); asked != "" {
		var err error
		cycles, err = strconv.Atoi(asked)
		must(t, err)
	}
	manager := newManager(t, nil)
	path := probeFile(t, "probe")
	run := func(count int) {
		for range count {
			plugin, err := manager.Load(path, nil)
			must(t, err)
			equal(t, call(t, manager, plugin, "echo", `{}`), `{}`)
			operation, err := manager.CallAsync(background, plugin, "echo", []byte(`{}`))
			must(t, err)
			_, err = operation.Wait()
			must(t, err)
			must(t, manager.Unload(background, plugin))
		}
	}
	run(cycles / 10)
	before := measure(t)
	run(cycles - cycles/10)
	after := measure(t)
	t.Logf("before %+v, after %d cycles %+v", before, cycles-cycles/10, after)
	if grown := after.residentKiB - before.residentKiB; grown > 2048 && !raceEnabled {
		t.Errorf("resident memory grew by %d KiB", grown)
	}
	// Go itself may start a thread or two, with a stack each.
	if after.threads > before.threads+2 || after.maps > before.maps+8 || after.descriptors > before.descriptors {
		t.Error("threads, maps or descriptors grew")
	}
}
