package goatflowplugin_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

// recorder keeps the kinds of the events it is given.
type recorder struct {
	sync.Mutex
	events []goatflowplugin.Event
}

func (r *recorder) take(event goatflowplugin.Event) {
	r.Lock()
	defer r.Unlock()
	r.events = append(r.events, event)
}

func (r *recorder) kinds() []string {
	r.Lock()
	defer r.Unlock()
	var kinds []string
	for _, event := range r.events {
		kinds = append(kinds, event.Kind)
	}
	return kinds
}

func TestEventsArriveInOrder(t *testing.T) {
	manager := newManager(t, nil)
	var all recorder
	subscription, err := manager.Subscribe(nil, all.take)
	must(t, err)
	defer subscription.Close()
	_, err = manager.Load(probeFile(t, "probe"), nil)
	must(t, err)
	must(t, manager.Disable(background, "probe"))
	must(t, manager.Enable("probe"))
	_, err = manager.SetPolicy("probe", permitted([3]string{"cache", "read", "*"}), goatflowplugin.AnyRevision)
	must(t, err)
	call(t, manager, "probe", "host:db_query", `{"query":"SELECT login FROM users","args":[]}`)
	call(t, manager, "probe", "log", "a line")
	must(t, manager.Unload(background, "probe"))
	want := []string{"plugin.loaded", "plugin.disabled", "plugin.enabled", "policy.changed", "call.denied", "log",
		"plugin.unloaded"}
	eventually(t, "the last event", func() bool { return slices.Contains(all.kinds(), "plugin.unloaded") })
	var relevant []string
	for _, event := range all.events {
		equal(t, event.Plugin, "probe")
		if !strings.Contains(string(event.Document), `"`+event.Kind+`"`) {
			t.Errorf("%s", event.Document)
		}
		// A refused call may also be logged.
		if !(event.Kind == "log" && !strings.Contains(string(event.Document), "a line")) {
			relevant = append(relevant, event.Kind)
		}
	}
	if !slices.Equal(relevant, want) {
		t.Fatalf("%v, want %v", relevant, want)
	}
}

func TestFiltersSelectEvents(t *testing.T) {
	manager := newManager(t, nil)
	var loaded, everything recorder
	_, err := manager.Subscribe(map[string]any{"kinds": []string{"plugin.loaded"}, "plugin": "two"}, loaded.take)
	must(t, err)
	_, err = manager.Subscribe(`{}`, everything.take)
	must(t, err)
	for _, name := range []string{"one", "two", "three"} {
		_, err := manager.Load(probeFile(t, name), nil)
		must(t, err)
	}
	eventually(t, "three plugins", func() bool { return len(everything.kinds()) >= 3 })
	equal(t, len(loaded.kinds()), 1)
	equal(t, loaded.events[0].Plugin, "two")
	before := goatflowplugin.LiveHandles()
	for _, filter := range []any{`{"kinds":["nonsense"]}`, `{"knids":[]}`, `{`, make(chan int)} {
		if _, err := manager.Subscribe(filter, loaded.take); err == nil {
			t.Errorf("%v was accepted", filter)
		}
	}
	eventually(t, "refused callbacks are finalized", func() bool { return goatflowplugin.LiveHandles() == before })
}

func TestClosedSubscriptionsAreSilent(t *testing.T) {
	manager := newManager(t, nil)
	before := goatflowplugin.LiveHandles()
	var closed, open recorder
	first, err := manager.Subscribe(nil, closed.take)
	must(t, err)
	second, err := manager.Subscribe(nil, open.take)
	must(t, err)
	must(t, first.Close())
	must(t, first.Close())
	_, err = manager.Load(probeFile(t, "probe"), nil)
	must(t, err)
	eventually(t, "the event", func() bool { return len(open.kinds()) > 0 })
	equal(t, len(closed.kinds()), 0)
	must(t, second.Close())
	eventually(t, "both callbacks are finalized", func() bool { return goatflowplugin.LiveHandles() == before })
}

func TestPanickingEventCallbacksHurtNobody(t *testing.T) {
	var logged bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	defer slog.SetDefault(before)
	manager := newManager(t, nil)
	var all recorder
	_, err := manager.Subscribe(nil, func(goatflowplugin.Event) { panic("in an event callback") })
	must(t, err)
	_, err = manager.Subscribe(nil, all.take)
	must(t, err)
	for _, name := range []string{"one", "two"} {
		_, err = manager.Load(probeFile(t, name), nil)
		must(t, err)
	}
	// Subscribers are served in turn, so both panics lie behind when the second event is here.
	eventually(t, "both events", func() bool { return len(all.kinds()) >= 2 })
	equal(t, strings.Count(logged.String(), "in an event callback"), 2)
}

func TestEventCallbacksMayUseTheManager(t *testing.T) {
	manager := newManager(t, nil)
	answers := make(chan string, 1)
	var subscription *goatflowplugin.Subscription
	ready := make(chan struct{})
	subscription, err := manager.Subscribe(`{"kinds":["plugin.loaded"]}`, func(event goatflowplugin.Event) {
		<-ready
		result, err := manager.Call(background, event.Plugin, "echo", []byte(`{"from":"event"}`))
		if err != nil {
			t.Error(err)
		}
		if err := subscription.Close(); err != nil {
			t.Error(err)
		}
		answers <- string(result)
	})
	must(t, err)
	close(ready)
	_, err = manager.Load(probeFile(t, "probe"), nil)
	must(t, err)
	equal(t, <-answers, `{"from":"event"}`)
}

func TestPublishedEventsReachTheHost(t *testing.T) {
	manager := withProbes(t, `{"version":1,"status":"approved","permissions":[{"type":"event","access":"write","scope":["*"]}]}`, "probe")
	var published recorder
	_, err := manager.Subscribe(`{"kinds":["published"]}`, published.take)
	must(t, err)
	answer := call(t, manager, "probe", "host:publish_event", `{"channel":"c","event_type":"t","data":"{\"a\":1}"}`)
	t.Log(answer)
	eventually(t, "the event", func() bool { return len(published.kinds()) == 1 })
	event := published.events[0]
	equal(t, event.Plugin, "probe")
	if !strings.Contains(string(event.Document), `"channel":"c"`) {
		t.Errorf("%s", event.Document)
	}
}
