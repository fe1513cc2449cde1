package goatflowplugin

// #include "shim.h"
import "C"

import (
	"encoding/json"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// Kinds of events.
const (
	EventPluginLoaded      = "plugin.loaded"
	EventPluginSwapping    = "plugin.swapping"
	EventPluginSwapped     = "plugin.swapped"
	EventPluginDrained     = "plugin.drained"
	EventPluginRolledBack  = "plugin.rolled_back"
	EventPluginFailed      = "plugin.failed"
	EventPluginUnhealthy   = "plugin.unhealthy"
	EventPluginCrashed     = "plugin.crashed"
	EventPluginRestarted   = "plugin.restarted"
	EventPluginCrashLoop   = "plugin.crash_loop"
	EventPluginWatching    = "plugin.watching"
	EventPluginUnloaded    = "plugin.unloaded"
	EventPluginEnabled     = "plugin.enabled"
	EventPluginDisabled    = "plugin.disabled"
	EventPolicyChanged     = "policy.changed"
	EventPolicyObserving   = "policy.observing"
	EventPackageInstalled  = "package.installed"
	EventPackagePending    = "package.pending"
	EventPackageApproved   = "package.approved"
	EventPackageRolledBack = "package.rolled_back"
	EventPackageRemoved    = "package.removed"
	EventTrustChanged      = "trust.changed"
	EventCallDenied        = "call.denied"
	EventCallObserved      = "call.observed"
	EventLog               = "log"
	EventPublished         = "published"
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
}

// Subscribe delivers the events that filter selects, in order; filter is a JSON document with the optional fields kinds
// and plugin, nil selects all.
//
// The callback runs on a thread of the library, one event at a time; while it runs, the manager's other events wait. A
// panic in it is logged and dropped. The manager's Close ends its subscriptions.
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
	m.core.subscribed(out.handle)
	return &Subscription{manager: m, handle: out.handle}, nil
}

// Close ends the subscription; an event being delivered at the time is not waited for.
func (s *Subscription) Close() error {
	s.manager.core.unsubscribe(s.handle)
	return nil
}

// subscribed notes a subscription, so that it ends with the manager.
func (c *core) subscribed(handle C.uintptr_t) {
	c.mu.Lock()
	if c.subscriptions == nil {
		c.subscriptions = map[C.uintptr_t]struct{}{}
	}
	c.subscriptions[handle] = struct{}{}
	c.mu.Unlock()
	if c.closed.Load() {
		c.unsubscribe(handle)
	}
}

// unsubscribe ends a subscription that was not ended before.
func (c *core) unsubscribe(handle C.uintptr_t) {
	c.mu.Lock()
	_, live := c.subscriptions[handle]
	delete(c.subscriptions, handle)
	c.mu.Unlock()
	if live {
		C.gfp_subscription_free(c.library.table, handle)
	}
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
