package goatflowplugin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

const stressTime = 3 * time.Second

// Traps of plugins are signals, and so are Go's nil dereferences, preemption and profiling: none may take another's.
func TestTrapsAndGoShareSignals(t *testing.T) {
	for _, signals := range []string{"on", "off"} {
		t.Run(signals, func(t *testing.T) {
			manager, err := open(t).NewManager(map[string]any{
				"version": 1, "signals": signals,
				"policies": map[string]any{"one": approvedOrg(), "two": approvedOrg(), "three": approvedOrg()},
			})
			must(t, err)
			defer manager.Close()
			must(t, manager.Declare(goatflowplugin.Declaration{Name: "org_id", Permission: "org", Access: "read"},
				func(goatflowplugin.HostCall) ([]byte, error) { panic(nilDereference()) }))
			names := []string{"one", "two", "three"}
			for _, name := range names {
				_, err := manager.Load(probeFile(t, name), nil)
				must(t, err)
			}
			must(t, pprof.StartCPUProfile(io.Discard))
			defer pprof.StopCPUProfile()
			expected := map[string]goatflowplugin.Status{
				"trap": goatflowplugin.ErrPluginTrap, "recurse": goatflowplugin.ErrPluginStackExhausted,
				"wild": goatflowplugin.ErrPluginBadPointer,
			}
			end := time.Now().Add(stressTime)
			var all sync.WaitGroup
			for i := range 8 {
				all.Add(1)
				go func() {
					defer all.Done()
					for n := i; time.Now().Before(end); n++ {
						for function, status := range expected {
							_, err := manager.Call(background, names[n%3], function, nil)
							if !errors.Is(err, status) {
								t.Errorf("%s: %v", function, err)
							}
						}
						answer, err := manager.Call(background, names[n%3], "host:org_id", []byte(`{}`))
						if err != nil || errorCode(t, string(answer)) != "host.failed" {
							t.Errorf("%s %v", answer, err)
						}
						if nilDereference() == nil {
							t.Error("no panic")
						}
						if n%50 == 0 {
							runtime.GC()
						}
					}
				}()
			}
			all.Wait()
		})
	}
}

func approvedOrg() map[string]any {
	return map[string]any{
		"version": 1, "status": "approved",
		"permissions": []any{map[string]any{"type": "org", "access": "read", "scope": []string{"*"}}},
	}
}

// nilDereference is the panic of reading through nil: a SIGSEGV that Go must get back.
func nilDereference() (reason any) {
	defer func() { reason = recover() }()
	var nothing *struct{ field int }
	return nothing.field
}

// Everything at once, on plugins that come and go: each result is either right or one of the errors that belong to it.
func TestEverythingAtOnce(t *testing.T) {
	names := []string{"one", "two", "three"}
	manager := withProbes(t, orgPolicy, names...)
	paths := map[string]string{}
	for _, name := range names {
		paths[name] = probeFile(t, name)
	}
	answer := func(call goatflowplugin.HostCall) ([]byte, error) { return call.Arguments, nil }
	must(t, manager.Declare(goatflowplugin.Declaration{Name: "org_id", Permission: "org", Access: "read"}, answer))
	allowed := func(err error, also ...goatflowplugin.Status) bool {
		if err == nil {
			return true
		}
		for _, status := range append(also, goatflowplugin.ErrLifecyclePluginNotFound, goatflowplugin.ErrLifecycleDisabled) {
			if errors.Is(err, status) {
				return true
			}
		}
		return false
	}
	steps := []func(name string) error{
		func(name string) error {
			result, err := manager.Call(background, name, "echo", []byte(`{"a":1}`))
			if err == nil && string(result) != `{"a":1}` {
				return fmt.Errorf("echo answered %q", result)
			}
			return err
		},
		func(name string) error {
			_, err := manager.Call(background, name, "host:org_id", []byte(`{}`))
			return err
		},
		func(name string) error {
			ctx, cancel := context.WithTimeout(background, time.Duration(rand.IntN(4))*time.Millisecond)
			defer cancel()
			_, err := manager.Call(ctx, name, "spin", nil)
			if err == nil || allowed(err, goatflowplugin.ErrPluginDeadline) {
				return nil
			}
			return err
		},
		func(name string) error {
			ctx, cancel := context.WithCancel(background)
			operation, err := manager.CallAsync(ctx, name, "spin", nil)
			time.AfterFunc(time.Millisecond, cancel)
			if err != nil {
				return err
			}
			if _, err = operation.Wait(); allowed(err, goatflowplugin.ErrPluginCancelled) {
				return nil
			}
			return err
		},
		func(name string) error {
			ctx, cancel := context.WithTimeout(background, time.Second)
			defer cancel()
			err := manager.Unload(ctx, name)
			if allowed(err, goatflowplugin.ErrLifecycleBusy) {
				_, err = manager.Load(paths[name], nil)
			}
			if allowed(err, goatflowplugin.ErrLifecycleAlreadyLoaded) {
				return nil
			}
			return err
		},
		func(name string) error {
			if err := manager.Disable(background, name); !allowed(err) {
				return err
			}
			return manager.Enable(name)
		},
		func(name string) error {
			_, err := manager.SetPolicy(name, orgPolicy, goatflowplugin.AnyRevision)
			return err
		},
		func(name string) error {
			function, err := manager.Function(name, "echo")
			if err != nil {
				return err
			}
			defer function.Close()
			_, err = function.Call(background, []byte(`1`))
			return err
		},
		func(string) error { return manager.Provide("config", answer) },
		func(string) error {
			return manager.Declare(goatflowplugin.Declaration{Name: "org_id", Permission: "org", Access: "read"}, answer)
		},
		func(string) error {
			subscription, err := manager.Subscribe(nil, func(goatflowplugin.Event) {})
			if err != nil {
				return err
			}
			return subscription.Close()
		},
		func(string) error {
			if _, err := manager.Stats(""); err != nil {
				return err
			}
			_, err := manager.List()
			return err
		},
	}
	end := time.Now().Add(stressTime)
	var all sync.WaitGroup
	for range 12 {
		all.Add(1)
		go func() {
			defer all.Done()
			for time.Now().Before(end) {
				n := rand.IntN(len(steps))
				if err := steps[n](names[rand.IntN(len(names))]); !allowed(err) {
					t.Errorf("step %d: %v", n, err)
				}
			}
		}()
	}
	all.Wait()
	must(t, manager.Close())
	eventually(t, "all callbacks are finalized", func() bool { return goatflowplugin.LiveHandles() == 0 })
}

func TestQueuesOfCallsAreBounded(t *testing.T) {
	manager := withProbes(t, "", "probe")
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	var operations []*goatflowplugin.Operation
	operations = append(operations, spin(t, manager, ctx, "probe"))
	var err error
	for range 20_000 {
		var operation *goatflowplugin.Operation
		if operation, err = manager.CallAsync(background, "probe", "echo", []byte(`{}`)); err != nil {
			break
		}
		operations = append(operations, operation)
	}
	failure := fails(t, err, goatflowplugin.ErrLifecycleOverloaded)
	equal(t, failure.Retryable, true)
	t.Logf("%d calls wait", len(operations))
	cancel()
	for i, operation := range operations {
		result, err := operation.Wait()
		if i == 0 {
			fails(t, err, goatflowplugin.ErrPluginCancelled)
			continue
		}
		must(t, err)
		equal(t, string(result), `{}`)
	}
}

func TestOperationsWaitingForTheirTurnEndAtTheirDeadline(t *testing.T) {
	manager := withProbes(t, "", "probe")
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	first := spin(t, manager, ctx, "probe")
	short, cancelShort := context.WithTimeout(background, 50*time.Millisecond)
	defer cancelShort()
	start := time.Now()
	second, err := manager.CallAsync(short, "probe", "echo", nil)
	must(t, err)
	_, err = second.Wait()
	fails(t, err, goatflowplugin.ErrPluginDeadline)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	cancel()
	_, _ = first.Wait()
}

// A callback that waits for the end of the call it belongs to would wait for itself.
func TestCallbacksCanNotWaitForThemselves(t *testing.T) {
	for name, attempt := range map[string]func(*goatflowplugin.Manager, context.Context) error{
		"Unload":   func(m *goatflowplugin.Manager, ctx context.Context) error { return m.Unload(ctx, "probe") },
		"Disable":  func(m *goatflowplugin.Manager, ctx context.Context) error { return m.Disable(ctx, "probe") },
		"Shutdown": func(m *goatflowplugin.Manager, ctx context.Context) error { _, err := m.Shutdown(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			var manager *goatflowplugin.Manager
			var unlimited, limited error
			manager = withOrg(t, func(goatflowplugin.HostCall) ([]byte, error) {
				unlimited = attempt(manager, background)
				ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
				defer cancel()
				limited = attempt(manager, ctx)
				return []byte(`"went on"`), nil
			}, "probe")
			equal(t, call(t, manager, "probe", "host:org_id", `{}`), `"went on"`)
			fails(t, unlimited, goatflowplugin.ErrLifecycleInCallback)
			if name != "Shutdown" { // whose report says what did not end
				fails(t, limited, goatflowplugin.ErrLifecycleBusy)
			}
		})
	}
}

// Threads that have run plugins end: Go ends a thread whose goroutine ends while it is locked to it.
func TestThreadsMayEndAfterCalls(t *testing.T) {
	manager := withOrg(t, func(goatflowplugin.HostCall) ([]byte, error) { return []byte(`1`), nil }, "one", "two")
	var all sync.WaitGroup
	for i := range 300 {
		all.Add(1)
		go func() {
			defer all.Done()
			runtime.LockOSThread() // never unlocked
			name := []string{"one", "two"}[i%2]
			if _, err := manager.Call(background, name, "trap", nil); !errors.Is(err, goatflowplugin.ErrPluginTrap) {
				t.Error(err)
			}
			if _, err := manager.Call(background, name, "host:org_id", []byte(`{}`)); err != nil {
				t.Error(err)
			}
			if nilDereference() == nil {
				t.Error("no panic")
			}
		}()
		if i%20 == 19 {
			all.Wait()
		}
	}
	all.Wait()
}
