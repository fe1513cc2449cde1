package goatflowplugin_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

const orgPolicy = `{"version":1,"status":"approved","permissions":[
	{"type":"org","access":"read","scope":["*"]},{"type":"plugin_call","access":"read","scope":["*"]}]}`

// withOrg is a manager with probes that may call the declared host function "org_id", which answer answers.
func withOrg(t *testing.T, answer goatflowplugin.HostFunc, names ...string) *goatflowplugin.Manager {
	t.Helper()
	manager := withProbes(t, orgPolicy, names...)
	must(t, manager.Declare(goatflowplugin.Declaration{Name: "org_id", Permission: "org", Access: "read"}, answer))
	return manager
}

func TestHostFunctionsAnswerPlugins(t *testing.T) {
	var seen goatflowplugin.HostCall
	manager := withOrg(t, func(call goatflowplugin.HostCall) ([]byte, error) {
		seen = call
		return []byte(`{"id":42}`), nil
	}, "probe")
	type key struct{}
	ctx := context.WithValue(background, key{}, "value")
	ctx = goatflowplugin.WithRequestID(goatflowplugin.WithLanguage(ctx, "de"), "request-7")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	result, err := manager.Call(ctx, "probe", "host:org_id", []byte(`{"of":"Müller"}`))
	must(t, err)
	equal(t, string(result), `{"id":42}`)
	equal(t, seen.Plugin, "probe")
	equal(t, seen.Service, "custom")
	equal(t, seen.Function, "org_id")
	equal(t, string(seen.Arguments), `{"of":"Müller"}`)
	equal(t, string(seen.Chain), `["probe"]`)
	equal(t, seen.Depth, 0)
	equal(t, seen.RequestID, "request-7")
	equal(t, seen.Language, "de")
	equal(t, seen.Context().Value(key{}), any("value"))
	if seen.Remaining <= 0 || seen.Remaining > 10*time.Second {
		t.Errorf("remaining %v", seen.Remaining)
	}

	result, err = manager.Call(background, "probe", "host:org_id", []byte(`{}`))
	must(t, err)
	equal(t, string(result), `{"id":42}`)
	equal(t, seen.Context(), background)
	equal(t, seen.RequestID, "")

	operation, err := manager.CallAsync(ctx, "probe", "host:org_id", []byte(`{}`))
	must(t, err)
	_, err = operation.Wait()
	must(t, err)
	equal(t, seen.Context().Value(key{}), any("value"))
}

func TestAnswersOfHostFunctions(t *testing.T) {
	for name, test := range map[string]struct {
		answer  goatflowplugin.HostFunc
		code    string
		message string
	}{
		"error": {func(goatflowplugin.HostCall) ([]byte, error) { return nil, errors.New("the ledger is closed") },
			"host.failed", "the ledger is closed"},
		"status": {func(goatflowplugin.HostCall) ([]byte, error) { return nil, goatflowplugin.ErrHostNotFound },
			"host.failed", "host.not_found"},
		"wrapped status": {func(goatflowplugin.HostCall) ([]byte, error) {
			return nil, fmt.Errorf("no such ledger: %w", goatflowplugin.ErrHostNotFound)
		}, "host.failed", "no such ledger"},
		"panic": {func(goatflowplugin.HostCall) ([]byte, error) { panic("at the ledger") },
			"host.failed", "at the ledger"},
		"runtime error": {func(goatflowplugin.HostCall) ([]byte, error) {
			var ledger []byte
			return ledger[1:2], nil
		}, "host.failed", "out of range"},
		"error that is not UTF-8": {func(goatflowplugin.HostCall) ([]byte, error) { return nil, errors.New("caf\xe9") },
			"host.failed", "caf\uFFFD"},
		"error without text": {func(goatflowplugin.HostCall) ([]byte, error) { return nil, errors.New("") },
			"host.failed", ""},
		"answer that is not UTF-8": {func(goatflowplugin.HostCall) ([]byte, error) { return []byte("\"\xe9\""), nil },
			"host.reply_invalid", ""},
		"no JSON": {func(goatflowplugin.HostCall) ([]byte, error) { return []byte("{"), nil },
			"host.reply_invalid", ""},
		"deferred failure": {func(call goatflowplugin.HostCall) ([]byte, error) {
			reply := call.Defer()
			go func() { _ = reply.Fail(errors.New("the ledger is closed")) }()
			return nil, nil
		}, "host.failed", "the ledger is closed"},
		"deferred, then panic": {func(call goatflowplugin.HostCall) ([]byte, error) {
			call.Defer()
			panic("at the ledger")
		}, "host.failed", "at the ledger"},
	} {
		t.Run(name, func(t *testing.T) {
			manager := withOrg(t, test.answer, "probe")
			answer := call(t, manager, "probe", "host:org_id", `{}`)
			equal(t, errorCode(t, answer), test.code)
			if !strings.Contains(answer, test.message) {
				t.Errorf("%s", answer)
			}
		})
	}
}

func TestLargeAnswersOfHostFunctions(t *testing.T) {
	size := 0
	manager := withOrg(t, func(goatflowplugin.HostCall) ([]byte, error) { return text(size), nil }, "probe")
	for _, size = range []int{10, 5_000, 1 << 20} {
		equal(t, len(call(t, manager, "probe", "host:org_id", `{}`)), size)
	}
	// Larger than what the plugin can allocate: an error, whichever limit is met first.
	for _, size = range []int{5 << 20, 64 << 20} {
		result, err := manager.Call(background, "probe", "host:org_id", []byte(`{}`))
		t.Logf("%d bytes: %.100s %v", size, result, err)
		if err == nil && len(result) >= size {
			t.Errorf("%d bytes passed", size)
		}
	}
	size = 10
	equal(t, len(call(t, manager, "probe", "host:org_id", `{}`)), size)
}

func TestNoAnswerIsNull(t *testing.T) {
	manager := withOrg(t, func(goatflowplugin.HostCall) ([]byte, error) { return nil, nil }, "probe")
	equal(t, call(t, manager, "probe", "host:org_id", `{}`), "null")
}

func TestRepliesMayComeLater(t *testing.T) {
	for name, delay := range map[string]time.Duration{"before the callback returns": -1, "at once": 0, "later": 30 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			second := make(chan error, 1)
			manager := withOrg(t, func(call goatflowplugin.HostCall) ([]byte, error) {
				reply := call.Defer()
				complete := func() {
					if err := reply.Result([]byte(`7`)); err != nil {
						t.Error(err)
					}
					second <- reply.Fail(errors.New("again"))
				}
				switch {
				case delay < 0:
					complete()
				case delay == 0:
					go complete()
				default:
					time.AfterFunc(delay, complete)
				}
				return []byte("ignored"), nil
			}, "probe")
			equal(t, call(t, manager, "probe", "host:org_id", `{}`), "7")
			fails(t, <-second, goatflowplugin.ErrLifecycleTaken)
		})
	}
}

func TestCallsWithoutAReplyEndAtTheirDeadline(t *testing.T) {
	replies := make(chan *goatflowplugin.Reply, 1)
	manager := withOrg(t, func(call goatflowplugin.HostCall) ([]byte, error) {
		replies <- call.Defer()
		return nil, nil
	}, "probe")
	ctx, cancel := context.WithTimeout(background, 60*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := manager.Call(ctx, "probe", "host:org_id", []byte(`{}`))
	fails(t, err, goatflowplugin.ErrPluginDeadline)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	// The answer of a call that is over is refused or ignored, never a crash.
	t.Log((<-replies).Result([]byte(`1`)))

	cancellable, cancelNow := context.WithCancel(background)
	time.AfterFunc(30*time.Millisecond, cancelNow)
	_, err = manager.Call(cancellable, "probe", "host:org_id", []byte(`{}`))
	fails(t, err, goatflowplugin.ErrPluginCancelled)
	<-replies
}

func TestUndeclaredAndUngrantedFunctionsAreDenied(t *testing.T) {
	manager := withProbes(t, "", "probe")
	equal(t, errorCode(t, call(t, manager, "probe", "host:org_id", `{}`)), "policy.function_unknown")
	called := false
	target := "/org"
	must(t, manager.Declare(
		goatflowplugin.Declaration{Name: "org_id", Permission: "org", Access: "read", Target: &target},
		func(goatflowplugin.HostCall) ([]byte, error) {
			called = true
			return []byte(`1`), nil
		}))
	equal(t, errorCode(t, call(t, manager, "probe", "host:org_id", `{"org":"a"}`)), "policy.permission_missing")
	_, err := manager.SetPolicy("probe", permitted([3]string{"org", "read", "a"}), goatflowplugin.AnyRevision)
	must(t, err)
	equal(t, errorCode(t, call(t, manager, "probe", "host:org_id", `{"org":"b"}`)), "policy.target_denied")
	equal(t, called, false)
	equal(t, call(t, manager, "probe", "host:org_id", `{"org":"a"}`), "1")
	equal(t, called, true)
}

func TestDeclarationsAreChecked(t *testing.T) {
	manager := newManager(t, nil)
	callback := func(goatflowplugin.HostCall) ([]byte, error) { return nil, nil }
	before := goatflowplugin.LiveHandles()
	for _, declaration := range []any{
		`{`, `{"name":"x"}`, `{"name":"x","permission":"p","access":"read","target":null,"extra":1}`,
		goatflowplugin.Declaration{Name: "x", Permission: "p", Access: "sideways"},
		goatflowplugin.Declaration{Name: "db_query", Permission: "p", Access: "read"},
	} {
		if err := manager.Declare(declaration, callback); err == nil {
			t.Errorf("%v was accepted", declaration)
		}
	}
	fails(t, manager.Declare(make(chan int), callback), goatflowplugin.ErrArgumentJSON)
	if err := manager.Declare(goatflowplugin.Declaration{Name: "x", Permission: "p", Access: "read"}, nil); err == nil {
		t.Error("no callback was accepted")
	}
	if err := manager.Provide("nonsense", callback); err == nil {
		t.Error("an unknown service was accepted")
	}
	eventually(t, "refused callbacks are finalized", func() bool { return goatflowplugin.LiveHandles() == before })
}

func TestProvidersReplaceServices(t *testing.T) {
	manager := newManager(t, ticketDatabase())
	name, err := manager.Load(samplePath("ticket-stats-go"), nil)
	must(t, err)
	builtIn := call(t, manager, name, "overview", `{}`)
	before := goatflowplugin.LiveHandles()
	var queries atomic.Int64
	must(t, manager.Provide("db", func(call goatflowplugin.HostCall) ([]byte, error) {
		queries.Add(1)
		if call.Service != "db" || call.Function != "db_query" || !strings.Contains(string(call.Arguments), "SELECT") {
			t.Errorf("%+v", call)
		}
		return []byte(`[]`), nil
	}))
	equal(t, goatflowplugin.LiveHandles(), before+1)
	replaced := call(t, manager, name, "overview", `{}`)
	if replaced == builtIn || queries.Load() == 0 {
		t.Fatal(replaced)
	}
	// The policy comes first: what it refuses never reaches the callback.
	denied := queries.Load()
	if users := call(t, manager, name, "users", `{}`); !strings.Contains(users, "policy.sql.table_denied") {
		t.Error(users)
	}
	equal(t, queries.Load(), denied)

	must(t, manager.Provide("db", nil))
	equal(t, call(t, manager, name, "overview", `{}`), builtIn)
	eventually(t, "the replaced callback is finalized", func() bool { return goatflowplugin.LiveHandles() == before })
}

func TestCallbacksAreFinalizedWithTheirManager(t *testing.T) {
	before := goatflowplugin.LiveHandles()
	manager := withOrg(t, func(goatflowplugin.HostCall) ([]byte, error) { return nil, nil }, "probe")
	for _, service := range []string{"db", "cache", "http", "email", "config", "translate", "log", "event"} {
		must(t, manager.Provide(service, func(goatflowplugin.HostCall) ([]byte, error) { return nil, nil }))
	}
	subscription, err := manager.Subscribe(nil, func(goatflowplugin.Event) {})
	must(t, err)
	call(t, manager, "probe", "host:org_id", `{}`)
	equal(t, goatflowplugin.LiveHandles(), before+10)
	must(t, subscription.Close())
	must(t, manager.Close())
	eventually(t, "all callbacks are finalized", func() bool { return goatflowplugin.LiveHandles() == before })
}

func TestCallbacksMayUseTheManager(t *testing.T) {
	var manager *goatflowplugin.Manager
	manager = withOrg(t, func(call goatflowplugin.HostCall) ([]byte, error) {
		runtime.GC()
		if _, err := manager.List(); err != nil {
			return nil, err
		}
		if _, err := manager.Policy(call.Plugin); err != nil {
			return nil, err
		}
		if _, err := manager.Logs(nil); err != nil {
			return nil, err
		}
		operation, err := manager.CallAsync(background, "other", "echo", []byte(`{"asynchronous":true}`))
		if err != nil {
			return nil, err
		}
		if _, err := operation.Wait(); err != nil {
			return nil, err
		}
		return manager.Call(call.Context(), "other", "echo", call.Arguments)
	}, "probe", "other")
	equal(t, call(t, manager, "probe", "host:org_id", `{"deep":1}`), `{"deep":1}`)
}

func TestCallbacksThatCallTheirPluginGetAClearError(t *testing.T) {
	var manager *goatflowplugin.Manager
	var direct error
	manager = withOrg(t, func(call goatflowplugin.HostCall) ([]byte, error) {
		_, direct = manager.Call(background, call.Plugin, "echo", []byte(`{}`))
		ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
		defer cancel()
		operation, err := manager.CallAsync(ctx, call.Plugin, "echo", []byte(`{}`))
		if err != nil {
			return nil, err
		}
		_, err = operation.Wait()
		return nil, err
	}, "probe")
	answer := call(t, manager, "probe", "host:org_id", `{}`)
	fails(t, direct, goatflowplugin.ErrLifecycleReentrant)
	if !strings.Contains(answer, "plugin.deadline") {
		t.Fatal(answer)
	}
}

func TestCallbacksMayCloseTheManager(t *testing.T) {
	before := goatflowplugin.LiveHandles()
	var manager *goatflowplugin.Manager
	manager = withOrg(t, func(goatflowplugin.HostCall) ([]byte, error) {
		return []byte(`"closed"`), manager.Close()
	}, "probe")
	result, err := manager.Call(background, "probe", "host:org_id", []byte(`{}`))
	t.Logf("%s %v", result, err)
	eventually(t, "the callback is finalized", func() bool { return goatflowplugin.LiveHandles() == before })
}

func TestChainsNameEveryPlugin(t *testing.T) {
	var seen goatflowplugin.HostCall
	manager := withOrg(t, func(call goatflowplugin.HostCall) ([]byte, error) {
		seen = call
		return []byte(`true`), nil
	}, "outer", "inner")
	type key struct{}
	ctx := context.WithValue(background, key{}, "kept")
	result, err := manager.Call(ctx, "outer", "host:plugin_call",
		[]byte(`{"plugin":"inner","function":"host:org_id","args":{}}`))
	must(t, err)
	equal(t, string(result), "true")
	equal(t, seen.Plugin, "inner")
	equal(t, string(seen.Chain), `["outer","inner"]`)
	equal(t, seen.Depth, 1)
	equal(t, seen.Context().Value(key{}), any("kept"))
}

// Callbacks on many goroutines at once, with the collector at work and stacks growing under the library's frames.
func TestCallbacksSurviveTheCollector(t *testing.T) {
	var grow func(depth int) int
	grow = func(depth int) int {
		var room [512]byte
		if depth == 0 {
			return len(room)
		}
		room[depth%512] = byte(depth)
		return grow(depth-1) + int(room[0])
	}
	names := []string{"one", "two", "three", "four"}
	manager := withOrg(t, func(call goatflowplugin.HostCall) ([]byte, error) {
		grow(200)
		if call.Arguments[len(call.Arguments)-2] == '7' {
			runtime.GC()
		}
		return call.Arguments, nil
	}, names...)
	type roundKey struct{}
	var all sync.WaitGroup
	for i := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := range 100 {
				want := fmt.Sprintf(`{"i":%d,"n":%d}`, i, n)
				result, err := manager.Call(context.WithValue(background, roundKey{}, n), names[i%4], "host:org_id", []byte(want))
				if err != nil || string(result) != want {
					t.Errorf("%s: %s %v", want, result, err)
				}
			}
		}()
	}
	all.Wait()
}
