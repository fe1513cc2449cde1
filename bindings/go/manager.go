package goatflowplugin

// #include "shim.h"
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// Manager runs plugins. Any number of goroutines may use it at once.
type Manager struct {
	core    *core
	cleanup runtime.Cleanup
}

// core is what a manager shares with goroutines and callbacks that must not keep it alive.
type core struct {
	library *Library
	handle  C.uintptr_t
	closed  atomic.Bool
	// hasCallbacks makes calls hand their context to host callbacks.
	hasCallbacks atomic.Bool

	mu            sync.Mutex
	queue         *completionQueue
	subscriptions map[C.uintptr_t]struct{}
}

// NewManager creates a manager from a JSON configuration document; nil is the default configuration.
//
// Documents are taken in any form: []byte, json.RawMessage and string are passed on as they are, anything else is
// marshalled.
func (l *Library) NewManager(config any) (*Manager, error) {
	encoded, err := document(config)
	if err != nil {
		return nil, err
	}
	start, length := textOf(encoded)
	var out C.gfp_out
	if err := l.check(C.gfp_manager_new(l.table, start, length, &out), &out); err != nil {
		return nil, err
	}
	manager := &Manager{core: &core{library: l, handle: out.handle}}
	// A safety net only: when the collector notices is anybody's guess.
	manager.cleanup = runtime.AddCleanup(manager, (*core).close, manager.core)
	return manager, nil
}

// Library is the library the manager belongs to.
func (m *Manager) Library() *Library { return m.core.library }

// Close releases the manager. New calls fail with ErrArgumentHandle, calls under way go on, nothing is waited for; use
// [Manager.Shutdown] before for an orderly end. Closing twice is allowed.
func (m *Manager) Close() error {
	m.cleanup.Stop()
	m.core.close()
	runtime.KeepAlive(m)
	return nil
}

func (c *core) close() {
	if !c.closed.CompareAndSwap(false, true) {
		return
	}
	C.gfp_manager_free(c.library.table, c.handle)
	c.mu.Lock()
	subscriptions := c.subscriptions
	c.subscriptions = nil
	if c.queue != nil {
		c.queue.close()
	}
	c.mu.Unlock()
	for handle := range subscriptions {
		C.gfp_subscription_free(c.library.table, handle)
	}
}

// completions is the manager's completion queue, made when it is first needed.
func (c *core) completions() (*completionQueue, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue != nil || c.closed.Load() {
		if c.queue == nil {
			return nil, closedError()
		}
		return c.queue, nil
	}
	queue, err := newCompletionQueue(c.library)
	if err != nil {
		return nil, err
	}
	c.queue = queue
	return queue, nil
}

func closedError() error {
	return &Error{
		Status:  ErrArgumentHandle,
		Code:    ErrArgumentHandle.Code(),
		Message: "the manager is closed",
		Detail:  json.RawMessage("{}"),
	}
}

// Shutdown stops all plugins and waits for calls under way until the context's deadline, without a limit if it has none.
// The report says what was left. The manager must still be closed.
//
// Shutdown, Unload and Disable can't be waited for in a callback of a call that they would have to wait for: that
// is ErrLifecycleInCallback with a context that never ends, and with others it takes until the context ends.
func (m *Manager) Shutdown(ctx context.Context) (json.RawMessage, error) {
	var report json.RawMessage
	err := m.drain(ctx, "", func(timeout C.uint64_t) error {
		var out C.gfp_out
		var err error
		status := C.gfp_manager_shutdown(m.core.library.table, m.core.handle, timeout, &out)
		report, err = m.core.library.takeDocument(status, &out)
		return err
	})
	if err != nil {
		return nil, err
	}
	return report, nil
}

// Load loads a plugin directory or a WebAssembly file and returns the plugin's name. options is a JSON document, nil for
// none.
func (m *Manager) Load(path string, options any) (string, error) {
	encoded, err := document(options)
	if err != nil {
		return "", err
	}
	pathStart, pathLen := text(path)
	optionsStart, optionsLen := textOf(encoded)
	var out C.gfp_out
	status := C.gfp_manager_load(
		m.core.library.table, m.core.handle, pathStart, pathLen, optionsStart, optionsLen, &out)
	runtime.KeepAlive(m)
	name, err := m.core.library.takeDocument(status, &out)
	return string(name), err
}

// Unload removes a plugin after its calls under way have ended; ErrLifecycleBusy if they have not by the context's
// deadline.
func (m *Manager) Unload(ctx context.Context, plugin string) error {
	return m.drain(ctx, plugin, func(timeout C.uint64_t) error {
		start, length := text(plugin)
		var out C.gfp_out
		return m.core.library.check(
			C.gfp_manager_unload(m.core.library.table, m.core.handle, start, length, timeout, &out), &out)
	})
}

// Enable lets a disabled plugin be called again.
func (m *Manager) Enable(plugin string) error {
	_, err := m.documentOf(C.GFP_ENABLE, plugin)
	return err
}

// Disable refuses new calls of a plugin and waits for those under way; ErrLifecycleBusy if they have not ended by the
// context's deadline.
func (m *Manager) Disable(ctx context.Context, plugin string) error {
	return m.drain(ctx, plugin, func(timeout C.uint64_t) error {
		start, length := text(plugin)
		var out C.gfp_out
		return m.core.library.check(
			C.gfp_manager_disable(m.core.library.table, m.core.handle, start, length, timeout, &out), &out)
	})
}

// drain runs an operation that waits for calls, with the time the context leaves. When the context is cancelled before,
// drain returns and the operation goes on by itself.
func (m *Manager) drain(ctx context.Context, plugin string, operation func(timeout C.uint64_t) error) error {
	defer runtime.KeepAlive(m)
	if ctx.Done() == nil {
		return operation(math.MaxUint64)
	}
	timeout, err := timeoutOf(ctx, plugin)
	if err != nil {
		return err
	}
	if timeout == 0 {
		timeout = math.MaxUint64
	}
	done := make(chan error, 1)
	go func() { done <- operation(timeout) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		// The library was given the same deadline, and its error says what is still busy.
		return <-done
	}
	return contextError(plugin, ctx.Err())
}

// List describes the loaded plugins.
func (m *Manager) List() (json.RawMessage, error) {
	var out C.gfp_out
	status := C.gfp_manager_list(m.core.library.table, m.core.handle, &out)
	runtime.KeepAlive(m)
	return m.core.library.takeDocument(status, &out)
}

// Registration is what a plugin registered: routes, widgets, jobs and so on.
func (m *Manager) Registration(plugin string) (json.RawMessage, error) {
	return m.documentOf(C.GFP_REGISTRATION, plugin)
}

// Stats counts what a plugin did, or what all of them did if plugin is empty.
func (m *Manager) Stats(plugin string) (json.RawMessage, error) {
	return m.documentOf(C.GFP_STATS, plugin)
}

// Logs is what plugins logged, newest first. filter is a JSON document with the optional fields plugin, level and limit.
func (m *Manager) Logs(filter any) (json.RawMessage, error) {
	encoded, err := document(filter)
	if err != nil {
		return nil, err
	}
	return m.documentOf(C.GFP_LOGS, string(encoded))
}

// ClearLogs forgets what plugins logged.
func (m *Manager) ClearLogs() error {
	var out C.gfp_out
	status := C.gfp_manager_clear_logs(m.core.library.table, m.core.handle, &out)
	runtime.KeepAlive(m)
	return m.core.library.check(status, &out)
}

// documentOf asks the library for one of the documents it has about a plugin.
func (m *Manager) documentOf(which C.int, of string) (json.RawMessage, error) {
	start, length := text(of)
	var out C.gfp_out
	status := C.gfp_manager_text(m.core.library.table, which, m.core.handle, start, length, &out)
	runtime.KeepAlive(m)
	return m.core.library.takeDocument(status, &out)
}
