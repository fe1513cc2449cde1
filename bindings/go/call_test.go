package goatflowplugin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

// text is a JSON string of size bytes.
func text(size int) []byte {
	return []byte(`"` + strings.Repeat("x", size-2) + `"`)
}

// caller is a way to call the probe's echo.
type caller func(ctx context.Context, arguments []byte) ([]byte, error)

// callers is every way to call a function of a plugin.
func callers(t *testing.T, manager *goatflowplugin.Manager, plugin, function string) map[string]caller {
	t.Helper()
	handle, err := manager.Function(plugin, function)
	must(t, err)
	t.Cleanup(func() { handle.Close() })
	return map[string]caller{
		"Call": func(ctx context.Context, arguments []byte) ([]byte, error) {
			return manager.Call(ctx, plugin, function, arguments)
		},
		"AppendCall": func(ctx context.Context, arguments []byte) ([]byte, error) {
			return manager.AppendCall(ctx, nil, plugin, function, arguments)
		},
		"Function.Call": handle.Call,
		"Function.AppendCall": func(ctx context.Context, arguments []byte) ([]byte, error) {
			return handle.AppendCall(ctx, nil, arguments)
		},
		"CallAsync": func(ctx context.Context, arguments []byte) ([]byte, error) {
			operation, err := manager.CallAsync(ctx, plugin, function, arguments)
			if err != nil {
				return nil, err
			}
			return operation.Wait()
		},
	}
}

func TestResultsOfEverySizeArrive(t *testing.T) {
	manager := withProbes(t, "", "probe")
	for name, call := range callers(t, manager, "probe", "echo") {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{2, 64, 4095, 4096, 4097, 100_000, 900_000} {
				result, err := call(background, text(size))
				must(t, err)
				if !bytes.Equal(result, text(size)) {
					t.Fatalf("%d bytes came back as %d", size, len(result))
				}
			}
			result, err := call(background, nil)
			must(t, err)
			if result != nil {
				t.Fatalf("%q", result)
			}
		})
	}
}

func TestAppendCallAppends(t *testing.T) {
	manager := withProbes(t, "", "probe")
	for _, room := range []int{0, 3, 10, 11, 100} {
		buffer := append(make([]byte, 0, 4+room), "pre:"...)
		result, err := manager.AppendCall(background, buffer, "probe", "echo", []byte(`"01234567"`))
		must(t, err)
		equal(t, string(result), `pre:"01234567"`)
		if inPlace := &result[0] == &buffer[0]; inPlace != (room >= 10) {
			t.Errorf("room %d: in place %v", room, inPlace)
		}
	}
	buffer := []byte("kept")
	result, err := manager.AppendCall(background, buffer, "probe", "trap", nil)
	fails(t, err, goatflowplugin.ErrPluginTrap)
	equal(t, string(result), "kept")
	result, err = manager.AppendCall(background, buffer, "probe", "nothing", nil)
	must(t, err)
	equal(t, string(result), "kept")
}

func TestUnknownFunctionsAreThePluginsBusiness(t *testing.T) {
	manager := withProbes(t, "", "probe")
	equal(t, call(t, manager, "probe", "unknown", "{}"), `{"error":"unknown function"}`)
}

func TestFailuresOfPlugins(t *testing.T) {
	for _, test := range []struct {
		function string
		status   goatflowplugin.Status
	}{
		{"trap", goatflowplugin.ErrPluginTrap},
		{"recurse", goatflowplugin.ErrPluginStackExhausted},
		{"wild", goatflowplugin.ErrPluginBadPointer},
	} {
		manager := withProbes(t, "", "probe")
		for name, run := range callers(t, manager, "probe", test.function) {
			t.Run(test.function+"/"+name, func(t *testing.T) {
				_, err := run(background, []byte(`{}`))
				failure := fails(t, err, test.status)
				equal(t, failure.Plugin, "probe")
				equal(t, failure.Retryable, false)
				equal(t, call(t, manager, "probe", "echo", `{"still":"usable"}`), `{"still":"usable"}`)
			})
		}
	}
}

func TestArgumentsTheLibraryRefuses(t *testing.T) {
	manager := withProbes(t, "", "probe")
	for name, test := range map[string]struct {
		ctx              context.Context
		plugin, function string
		arguments        []byte
		status           goatflowplugin.Status
	}{
		"plugin not UTF-8":    {background, "\xff", "echo", nil, goatflowplugin.ErrArgumentUTF8},
		"function not UTF-8":  {background, "probe", "\xff", nil, goatflowplugin.ErrArgumentUTF8},
		"no function":         {background, "probe", "", nil, goatflowplugin.ErrArgumentInvalid},
		"no plugin":           {background, "", "echo", nil, goatflowplugin.ErrLifecyclePluginNotFound},
		"request id too long": {goatflowplugin.WithRequestID(background, strings.Repeat("x", 129)), "probe", "echo", nil, goatflowplugin.ErrArgumentTooLarge},
		"language not UTF-8":  {goatflowplugin.WithLanguage(background, "\xff"), "probe", "echo", nil, goatflowplugin.ErrArgumentUTF8},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := manager.Call(test.ctx, test.plugin, test.function, test.arguments)
			fails(t, err, test.status)
			_, err = manager.AppendCall(test.ctx, nil, test.plugin, test.function, test.arguments)
			fails(t, err, test.status)
			operation, err := manager.CallAsync(test.ctx, test.plugin, test.function, test.arguments)
			if err == nil {
				_, err = operation.Wait()
			}
			fails(t, err, test.status)
		})
	}
}

func TestArgumentsAndResultsHaveLimits(t *testing.T) {
	manager := withProbes(t, "", "probe")
	reference, err := manager.Load(samplePath("reference.wasm"), nil)
	must(t, err)
	for name, run := range callers(t, manager, "probe", "echo") {
		_, err := run(background, text(64<<20))
		if failure := fails(t, err, goatflowplugin.ErrArgumentTooLarge); failure.Plugin != "probe" {
			t.Errorf("%s: %+v", name, failure)
		}
	}
	for name, run := range callers(t, manager, reference, "huge_result") {
		_, err := run(background, nil)
		if failure := fails(t, err, goatflowplugin.ErrPluginResultTooLarge); failure.Plugin != reference {
			t.Errorf("%s: %+v", name, failure)
		}
	}
}

func TestDeadlinesOfContextsEndCalls(t *testing.T) {
	manager := withProbes(t, "", "probe")
	for name, run := range callers(t, manager, "probe", "spin") {
		t.Run(name, func(t *testing.T) {
			const limit = 60 * time.Millisecond
			ctx, cancel := context.WithTimeout(background, limit)
			defer cancel()
			start := time.Now()
			_, err := run(ctx, nil)
			took := time.Since(start)
			failure := fails(t, err, goatflowplugin.ErrPluginDeadline)
			if !errors.Is(err, context.DeadlineExceeded) || !failure.Retryable {
				t.Errorf("%#v", failure)
			}
			if took < limit || took > limit+2*time.Second {
				t.Errorf("took %v", took)
			}
			must(t, unusual(manager.Call(background, "probe", "echo", nil)))
		})
	}
}

func unusual(_ []byte, err error) error { return err }

func TestDeadlinesOfPoliciesAreNotTheContexts(t *testing.T) {
	manager := withProbes(t, `{"version":1,"status":"approved","permissions":[],"call_timeout":"50ms"}`, "probe")
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	_, err := manager.Call(ctx, "probe", "spin", nil)
	fails(t, err, goatflowplugin.ErrPluginDeadline)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("the context had a minute")
	}
}

func TestCancelledContextsEndCalls(t *testing.T) {
	manager := withProbes(t, "", "probe")
	for name, run := range callers(t, manager, "probe", "spin") {
		t.Run(name, func(t *testing.T) {
			// Twice: the second call must not find a cancellation object that was used already.
			for range 2 {
				ctx, cancel := context.WithCancel(background)
				timer := time.AfterFunc(30*time.Millisecond, cancel)
				_, err := run(ctx, nil)
				timer.Stop()
				fails(t, err, goatflowplugin.ErrPluginCancelled)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%v", err)
				}
				other, cancelOther := context.WithCancel(background)
				must(t, unusual(manager.Call(other, "probe", "echo", nil)))
				cancelOther()
			}
		})
	}
}

func TestContextsThatAreOverStartNothing(t *testing.T) {
	manager := withProbes(t, "", "probe")
	cancelled, cancel := context.WithCancel(background)
	cancel()
	expired, cancelExpired := context.WithDeadline(background, time.Now().Add(-time.Second))
	defer cancelExpired()
	for name, run := range callers(t, manager, "probe", "spin") {
		t.Run(name, func(t *testing.T) {
			_, err := run(cancelled, nil)
			fails(t, err, goatflowplugin.ErrPluginCancelled)
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			_, err = run(expired, nil)
			fails(t, err, goatflowplugin.ErrPluginDeadline)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
}

func TestCancellingOneCallLeavesOthersAlone(t *testing.T) {
	manager := withProbes(t, "", "victim", "bystander")
	var all sync.WaitGroup
	for i := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 20 {
				ctx, cancel := context.WithCancel(background)
				if i%2 == 0 {
					time.AfterFunc(2*time.Millisecond, cancel)
					_, err := manager.Call(ctx, "victim", "spin", nil)
					if !errors.Is(err, goatflowplugin.ErrPluginCancelled) {
						t.Errorf("victim: %v", err)
					}
				} else if _, err := manager.Call(ctx, "bystander", "echo", []byte(`{}`)); err != nil {
					t.Errorf("bystander: %v", err)
				}
				cancel()
			}
		}()
	}
	all.Wait()
}

func TestFunctionsSurviveAReload(t *testing.T) {
	manager := withProbes(t, "", "probe")
	function, err := manager.Function("probe", "echo")
	must(t, err)
	must(t, manager.Unload(background, "probe"))
	_, err = function.Call(background, []byte(`1`))
	fails(t, err, goatflowplugin.ErrLifecyclePluginNotFound)
	_, err = manager.Load(probeFile(t, "probe"), nil)
	must(t, err)
	result, err := function.Call(background, []byte(`2`))
	must(t, err)
	equal(t, string(result), `2`)
	must(t, function.Close())
	must(t, function.Close())
	_, err = function.Call(background, nil)
	fails(t, err, goatflowplugin.ErrArgumentHandle)
	_, err = function.AppendCall(background, nil, nil)
	fails(t, err, goatflowplugin.ErrArgumentHandle)
}

func TestManyGoroutinesCall(t *testing.T) {
	plugins := []string{"one", "two", "three"}
	manager := withProbes(t, "", plugins...)
	var all sync.WaitGroup
	for i := range 24 {
		all.Add(1)
		go func() {
			defer all.Done()
			buffer := make([]byte, 0, 64)
			for n := range 300 {
				ctx, cancel := background, context.CancelFunc(func() {})
				if n%3 == 0 {
					ctx, cancel = context.WithTimeout(background, time.Minute)
				}
				want := fmt.Sprintf(`{"goroutine":%d,"n":%d}`, i, n)
				var err error
				buffer, err = manager.AppendCall(ctx, buffer[:0], plugins[n%3], "echo", []byte(want))
				if err != nil || string(buffer) != want {
					t.Errorf("%s: %s %v", want, buffer, err)
				}
				cancel()
			}
		}()
	}
	all.Wait()
}

func TestCallsAllocateLittle(t *testing.T) {
	manager := withProbes(t, "", "probe")
	function, err := manager.Function("probe", "echo")
	must(t, err)
	buffer := make([]byte, 0, 128)
	arguments := text(64)
	for name, test := range map[string]struct {
		most float64
		run  func()
	}{
		"AppendCall":          {0, func() { buffer, err = manager.AppendCall(background, buffer[:0], "probe", "echo", arguments) }},
		"Function.AppendCall": {0, func() { buffer, err = function.AppendCall(background, buffer[:0], arguments) }},
		"Call":                {1, func() { _, err = manager.Call(background, "probe", "echo", arguments) }},
	} {
		allocations := testing.AllocsPerRun(200, test.run)
		must(t, err)
		if !raceEnabled && allocations > test.most {
			t.Errorf("%s: %v allocations, at most %v expected", name, allocations, test.most)
		}
	}
}
