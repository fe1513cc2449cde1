package goatflowplugin

// #include "shim.h"
import "C"

import (
	"encoding/json"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// Event is something that happened in a manager: a plugin was loaded, denied something, published something.
type Event struct {
	// Kind is what happened, for example "plugin.loaded".
	Kind string
	// Plugin is the plugin it happened to; may be empty.
	Plugin string
	// Document is the whole event.
	Document json.RawMessage
}

// Subscription delivers events until it is closed.
type Subscription struct {
	manager *Manager // keeps it from being freed
	handle  C.uintptr_t
	closed  atomic.Bool
}

// Subscribe delivers the events that filter selects, in order; filter is a JSON document with the optional fields kinds
// and plugin, nil selects all.
//
// The callback runs on a thread of the library, one event at a time; while it runs, the manager's other events wait. A
// panic in it is logged and dropped.
func (m *Manager) Subscribe(filter any, callback func(Event)) (*Subscription, error) {
	encoded, err := document(filter)
	if err != nil {
		return nil, err
	}
	start, length := textOf(encoded)
	var out C.gfp_out
	status := C.gfp_subscribe(m.core.library.table, m.core.handle, start, length,
		C.uintptr_t(newHandle(eventCallback(callback))), &out)
	runtime.KeepAlive(m)
	if err := m.core.library.check(status, &out); err != nil {
		return nil, err
	}
	return &Subscription{manager: m, handle: out.handle}, nil
}

// Close ends the subscription; an event being delivered at the time is not waited for.
func (s *Subscription) Close() error {
	if s.closed.CompareAndSwap(false, true) {
		C.gfp_subscription_free(s.manager.core.library.table, s.handle)
	}
	return nil
}

type eventCallback func(Event)

func (callback eventCallback) run(encoded []byte) {
	defer func() {
		if reason := recover(); reason != nil {
			slog.Error("goatflowplugin: event callback panicked", "reason", reason, "stack", string(debug.Stack()))
		}
	}()
	var heads struct{ Kind, Plugin string }
	if err := json.Unmarshal(encoded, &heads); err != nil {
		slog.Error("goatflowplugin: the library sent an event that is no JSON object", "error", err)
		return
	}
	callback(Event{Kind: heads.Kind, Plugin: heads.Plugin, Document: encoded})
}
