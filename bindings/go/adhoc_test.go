package goatflowplugin_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

func TestAdhocReentrant(t *testing.T) {
	seen := sync.Map{}
	for round := range 30 {
		names := []string{"one", "two", "three"}
		paths := map[string]string{}
		for _, n := range names {
			paths[n] = probeFile(t, n)
		}
		pol := `{"version":1,"status":"approved","permissions":[{"type":"org","access":"read","scope":["*"]},{"type":"plugin_call","access":"read","scope":["*"]}],"instances":` + fmt.Sprint(1+round%3) + `,"max_calls_per_second":0,"call_timeout":"2s"}`
		manager := withProbes(t, pol, names...)
		var depth sync.Map
		_ = depth
		var cb goatflowplugin.HostFunc
		act := func(level int) {
			name := names[rand.IntN(3)]
			ctx, cancel := context.WithTimeout(background, time.Duration(1+rand.IntN(30))*time.Millisecond)
			defer cancel()
			var err error
			k := rand.IntN(13)
			switch k {
			case 0:
				err = manager.Unload(ctx, name)
				_, err2 := manager.Load(paths[name], nil)
				_ = err2
			case 1:
				err = manager.Disable(ctx, name)
				_ = manager.Enable(name)
			case 2:
				_, err = manager.Call(ctx, name, "host:org_id", []byte(`{}`))
			case 3:
				_, err = manager.Call(ctx, name, "host:plugin_call", []byte(fmt.Sprintf(`{"plugin":%q,"function":"host:org_id","args":{}}`, names[rand.IntN(3)])))
			case 4:
				var op *goatflowplugin.Operation
				op, err = manager.CallAsync(ctx, name, "host:org_id", []byte(`{}`))
				if err == nil {
					_, err = op.Wait()
				}
			case 5:
				_, err = manager.SetPolicy(name, pol, goatflowplugin.AnyRevision)
			case 6:
				err = manager.Declare(goatflowplugin.Declaration{Name: "org_id", Permission: "org", Access: "read"}, cb)
			case 7:
				var s *goatflowplugin.Subscription
				s, err = manager.Subscribe(nil, func(goatflowplugin.Event) { _, _ = manager.List() })
				if err == nil {
					s.Close()
				}
			case 8:
				_, err = manager.Call(ctx, name, "trap", nil)
			case 9:
				_, err = manager.Call(ctx, name, "spin", nil)
			case 10:
				c2, cc := context.WithTimeout(background, 300*time.Millisecond)
				defer cc()
				err = manager.Unload(c2, name)
				_, _ = manager.Load(paths[name], nil)
			case 11:
				c2, cc := context.WithTimeout(background, 300*time.Millisecond)
				defer cc()
				err = manager.Disable(c2, name)
				_ = manager.Enable(name)
			case 12:
				err = manager.Provide("log", func(goatflowplugin.HostCall) ([]byte, error) { _, err := manager.List(); return nil, err })
			}
			code := "ok"
			if err != nil {
				code = fmt.Sprint(err)
				if f, ok := err.(*goatflowplugin.Error); ok {
					code = f.Code
				}
			}
			key := fmt.Sprint(k, " ", code)
			v, _ := seen.LoadOrStore(key, new(int))
			_ = v
		}
		cb = func(call goatflowplugin.HostCall) ([]byte, error) {
			if rand.IntN(3) > 0 {
				act(1)
			}
			if rand.IntN(4) == 0 {
				r := call.Defer()
				time.AfterFunc(time.Duration(rand.IntN(3))*time.Millisecond, func() { _ = r.Result([]byte(`1`)) })
			}
			return []byte(`1`), nil
		}
		must(t, manager.Declare(goatflowplugin.Declaration{Name: "org_id", Permission: "org", Access: "read"}, cb))
		end := time.Now().Add(700 * time.Millisecond)
		var all sync.WaitGroup
		for range 6 {
			all.Add(1)
			go func() {
				defer all.Done()
				for time.Now().Before(end) {
					act(0)
				}
			}()
		}
		done := make(chan struct{})
		go func() { all.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			debug.SetTraceback("all")
			panic("HANG in round " + fmt.Sprint(round))
		}
		manager.Close()
	}
	seen.Range(func(k, _ any) bool { t.Log(k); return true })
}
