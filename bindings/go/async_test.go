package goatflowplugin_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

// threads is the number of operating system threads of this process.
func threads(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	must(t, err)
	return len(entries)
}

func TestOperationsCanBeWaitedForRepeatedly(t *testing.T) {
	manager := withProbes(t, "", "probe")
	operation, err := manager.CallAsync(background, "probe", "echo", []byte(`{"a":1}`))
	must(t, err)
	<-operation.Done()
	for range 2 {
		result, err := operation.Wait()
		must(t, err)
		equal(t, string(result), `{"a":1}`)
	}
	operation.Cancel() // too late, and harmless
}

func TestCancelEndsAnOperation(t *testing.T) {
	manager := withProbes(t, "", "probe")
	operation := spin(t, manager, background, "probe")
	operation.Cancel()
	operation.Cancel()
	_, err := operation.Wait()
	fails(t, err, goatflowplugin.ErrPluginCancelled)
}

func TestOperationsWaitingForTheirTurnAreCancelled(t *testing.T) {
	manager := withProbes(t, "", "probe")
	first := spin(t, manager, background, "probe")
	second, err := manager.CallAsync(background, "probe", "echo", nil)
	must(t, err)
	second.Cancel()
	_, err = second.Wait()
	fails(t, err, goatflowplugin.ErrPluginCancelled)
	first.Cancel()
	_, err = first.Wait()
	fails(t, err, goatflowplugin.ErrPluginCancelled)
}

func TestArgumentsOfOperationsAreCopied(t *testing.T) {
	manager := withProbes(t, "", "probe")
	arguments := []byte(`{"a":1}`)
	operation, err := manager.CallAsync(background, "probe", "echo", arguments)
	must(t, err)
	copy(arguments, "overwritten")
	result, err := operation.Wait()
	must(t, err)
	equal(t, string(result), `{"a":1}`)
}

func TestOperationsEndWhenTheManagerIsClosed(t *testing.T) {
	before := runtime.NumGoroutine()
	manager := withProbes(t, "", "probe")
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	operation := spin(t, manager, ctx, "probe")
	must(t, manager.Close())
	cancel()
	_, _ = operation.Wait()
	eventually(t, "the dispatcher ends", func() bool { return runtime.NumGoroutine() <= before })
}

// slowHost declares a host function that takes a while, without occupying a thread of its own.
func slowHost(t *testing.T, manager *goatflowplugin.Manager, takes time.Duration) {
	t.Helper()
	must(t, manager.Declare(goatflowplugin.Declaration{Name: "nap", Permission: "nap", Access: "read"},
		func(call goatflowplugin.HostCall) ([]byte, error) {
			reply := call.Defer()
			time.AfterFunc(takes, func() { _ = reply.Result([]byte(`"rested"`)) })
			return nil, nil
		}))
}

func TestThousandSlowCallsCostFewThreads(t *testing.T) {
	const calls, plugins = 1000, 8
	var names []string
	for i := range plugins {
		names = append(names, fmt.Sprintf("probe%d", i))
	}
	manager := withProbes(t, permitted([3]string{"nap", "read", "*"}), names...)
	slowHost(t, manager, 5*time.Millisecond)
	before := threads(t)
	most := before
	var operations []*goatflowplugin.Operation
	for i := range calls {
		operation, err := manager.CallAsync(background, names[i%plugins], "host:nap", []byte(`{}`))
		must(t, err)
		operations = append(operations, operation)
	}
	for _, operation := range operations {
		result, err := operation.Wait()
		must(t, err)
		equal(t, string(result), `"rested"`)
		most = max(most, threads(t))
	}
	t.Logf("%d threads before, at most %d during %d slow calls", before, most, calls)
	if most > before+64 {
		t.Errorf("%d threads for %d slow calls", most-before, calls)
	}
}

func TestManyOperationsFromManyGoroutines(t *testing.T) {
	manager := withProbes(t, "", "one", "two")
	var all sync.WaitGroup
	for i := range 16 {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := range 100 {
				ctx, cancel := context.WithCancel(background)
				want := fmt.Sprintf(`"%d/%d%s"`, i, n, strings.Repeat("x", n*50))
				operation, err := manager.CallAsync(ctx, []string{"one", "two"}[n%2], "echo", []byte(want))
				if err != nil {
					t.Error(err)
					cancel()
					continue
				}
				if n%5 == 0 {
					cancel() // may win or lose
				}
				if result, err := operation.Wait(); n%5 != 0 && (err != nil || string(result) != want) {
					t.Errorf("%v %.40s", err, result)
				}
				cancel()
			}
		}()
	}
	all.Wait()
}
