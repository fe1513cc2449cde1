package goatflowplugin

// #include "shim.h"
// #cgo nocallback gfp_cancellation_new
// #cgo noescape gfp_cancellation_new
// #cgo nocallback gfp_cancellation_cancel
// #cgo nocallback gfp_cancellation_free
import "C"

import (
	"context"
	"errors"
	"runtime"
	"runtime/cgo"
	"sync"
	"sync/atomic"
	"time"
)

// callFrame is what one call needs in memory that does not move: outputs, options, room for a short result. Frames are
// reused, so a call with a short result allocates nothing but the result.
//
// gfp_call must not be marked noescape: host callbacks run Go code on the same stack, which may then move.
type callFrame struct {
	out     C.gfp_out
	options C.gfp_options
	texts   string
	scope   callScope
	scratch [4096]byte
}

var callFrames = sync.Pool{New: func() any { return new(callFrame) }}

// callScope ties a call to its context.
type callScope struct {
	library      *Library
	cancellation *cancellation
	stop         func() bool
	hostContext  cgo.Handle
}

// enter fills the frame's options from the context. The error is final: the call must not be made.
func (f *callFrame) enter(ctx context.Context, m *core, plugin string) error {
	f.options = C.gfp_options{}
	f.scope = callScope{}
	f.texts = ""
	if values, ok := ctx.Value(callValuesKey{}).(*callValues); ok {
		f.texts = values.texts
		f.options.request_id_len = C.size_t(len(values.requestID))
		f.options.language_len = C.size_t(len(values.language))
		f.options.traceparent_len = C.size_t(len(values.traceParent))
		f.options.tracestate_len = C.size_t(len(values.traceState))
	}
	if ctx.Done() != nil {
		timeout, err := timeoutOf(ctx, plugin)
		if err != nil {
			return err
		}
		f.options.timeout_ms = timeout
	}
	if m.hasCallbacks.Load() && ctx != context.Background() {
		f.scope.hostContext = newHandle(ctx)
		f.options.host_context = C.uintptr_t(f.scope.hostContext)
	}
	return nil
}

// watch makes the context's end cancel the call. Only for calls that block in the library.
func (f *callFrame) watch(ctx context.Context, l *Library) error {
	if ctx.Done() == nil {
		return nil
	}
	cancellation, err := l.cancellations.get(l)
	if err != nil {
		return err
	}
	f.scope.library = l
	f.scope.cancellation = cancellation
	f.scope.stop = context.AfterFunc(ctx, func() { cancellation.cancel(ctx) })
	f.options.cancellation = cancellation.handle
	return nil
}

// leave undoes enter and watch and gives the frame back.
func (f *callFrame) leave() {
	if f.scope.stop != nil {
		if f.scope.stop() {
			f.scope.library.cancellations.put(f.scope.cancellation)
		} else {
			f.scope.cancellation.release()
		}
	}
	if f.scope.hostContext != 0 {
		deleteHandle(f.scope.hostContext)
	}
	f.scope = callScope{}
	f.texts = ""
	callFrames.Put(f)
}

// timeoutOf is the time left until the context's deadline, rounded up so that the library never gives up before the
// context does; 0 = no deadline.
func timeoutOf(ctx context.Context, plugin string) (C.uint64_t, error) {
	if err := ctx.Err(); err != nil {
		return 0, contextError(plugin, err)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0, nil
	}
	left := time.Until(deadline)
	if left <= 0 {
		return 0, contextError(plugin, context.DeadlineExceeded)
	}
	return C.uint64_t((left + time.Millisecond - 1) / time.Millisecond), nil
}

// result appends the call's result to dst.
func (f *callFrame) result(ctx context.Context, l *Library, status C.int32_t, dst []byte) ([]byte, error) {
	if status == C.GOATFLOW_PLUGIN_STATUS_LIFECYCLE_PENDING {
		C.gfp_error_free(l.table, f.out.error)
		return dst, errWouldWait
	}
	if status != 0 {
		return dst, l.takeError(status, &f.out).becauseOf(ctx)
	}
	length := int(f.out.len)
	if f.out.data == 0 {
		// The result is already in the capacity of dst.
		return dst[:len(dst)+length], nil
	}
	start := len(dst)
	dst = append(dst, make([]byte, length)...)
	destination, _ := bytesOf(dst[start:])
	C.gfp_buffer_take(l.table, &f.out, destination)
	return dst, nil
}

// copyResult is result for callers without a buffer: dst is the frame's scratch, the copy has the right size.
func (f *callFrame) copyResult(ctx context.Context, l *Library, status C.int32_t) ([]byte, error) {
	if status == 0 && f.out.data != 0 {
		return l.take(&f.out), nil
	}
	result, err := f.result(ctx, l, status, f.scratch[:0])
	if err != nil || len(result) == 0 {
		return nil, err
	}
	return append([]byte(nil), result...), nil
}

// Call calls a function of a plugin with JSON arguments and returns its result, nil when the plugin answered nothing.
//
// A WebAssembly plugin runs on the thread of the calling goroutine: use [Manager.CallAsync] for what may be slow. A call of
// a native plugin, which another process answers, waits on the network poller and occupies no thread.
func (m *Manager) Call(ctx context.Context, plugin, function string, arguments []byte) ([]byte, error) {
	result, err := m.callHere(ctx, plugin, function, arguments)
	if err == errWouldWait {
		return m.callAndWait(ctx, plugin, function, arguments)
	}
	return result, err
}

func (m *Manager) callHere(ctx context.Context, plugin, function string, arguments []byte) ([]byte, error) {
	frame := callFrames.Get().(*callFrame)
	defer frame.leave()
	status, err := m.core.call(ctx, frame, plugin, function, arguments, frame.scratch[:0])
	runtime.KeepAlive(m)
	if err != nil {
		return nil, err
	}
	return frame.copyResult(ctx, m.core.library, status)
}

// errWouldWait is what a call on this thread gives that a process would have to answer.
var errWouldWait = errors.New("goatflowplugin: the call would wait for a process")

// callAndWait makes a call through the completion queue.
func (m *Manager) callAndWait(ctx context.Context, plugin, function string, arguments []byte) ([]byte, error) {
	operation, err := m.CallAsync(ctx, plugin, function, arguments)
	if err != nil {
		return nil, err
	}
	return operation.Wait()
}

// AppendCall is Call, with the result appended to dst, which is returned unchanged on failure. There is no allocation
// if the capacity of dst suffices.
func (m *Manager) AppendCall(
	ctx context.Context, dst []byte, plugin, function string, arguments []byte,
) ([]byte, error) {
	appended, err := m.appendHere(ctx, dst, plugin, function, arguments)
	if err == errWouldWait {
		result, err := m.callAndWait(ctx, plugin, function, arguments)
		return append(dst, result...), err
	}
	return appended, err
}

func (m *Manager) appendHere(
	ctx context.Context, dst []byte, plugin, function string, arguments []byte,
) ([]byte, error) {
	frame := callFrames.Get().(*callFrame)
	defer frame.leave()
	status, err := m.core.call(ctx, frame, plugin, function, arguments, dst)
	runtime.KeepAlive(m)
	if err != nil {
		return dst, err
	}
	return frame.result(ctx, m.core.library, status, dst)
}

// call makes the call with the spare capacity of dst as destination.
func (c *core) call(
	ctx context.Context, frame *callFrame, plugin, function string, arguments, dst []byte,
) (C.int32_t, error) {
	if err := frame.enter(ctx, c, plugin); err != nil {
		return 0, err
	}
	frame.options.flags = C.GOATFLOW_PLUGIN_CALL_NO_WAITING
	if err := frame.watch(ctx, c.library); err != nil {
		return 0, err
	}
	pluginStart, pluginLen := text(plugin)
	functionStart, functionLen := text(function)
	argumentsStart, argumentsLen := bytesOf(arguments)
	texts, _ := text(frame.texts)
	destination, _ := bytesOf(dst[len(dst):cap(dst)])
	return C.gfp_call(c.library.table, c.handle, pluginStart, pluginLen, functionStart, functionLen, argumentsStart,
		argumentsLen, &frame.options, texts, destination,
		C.size_t(cap(dst)-len(dst)), &frame.out), nil
}

// Function is a resolved function of a plugin: calls skip the look-up by name. It survives reloads of the plugin.
type Function struct {
	manager *Manager
	handle  C.uintptr_t
	plugin  string
	name    string
	closed  atomic.Bool
	cleanup runtime.Cleanup
}

// Function resolves a function. Close it when it is no longer needed.
func (m *Manager) Function(plugin, function string) (*Function, error) {
	defer runtime.KeepAlive(m)
	pluginStart, pluginLen := text(plugin)
	functionStart, functionLen := text(function)
	var out C.gfp_out
	status := C.gfp_function_resolve(
		m.core.library.table, m.core.handle, pluginStart, pluginLen, functionStart, functionLen, &out)
	if err := m.core.library.check(status, &out); err != nil {
		return nil, err
	}
	resolved := &Function{manager: m, handle: out.handle, plugin: plugin, name: function}
	// A safety net, as for managers.
	library := m.core.library
	resolved.cleanup = runtime.AddCleanup(resolved, func(handle C.uintptr_t) {
		C.gfp_function_free(library.table, handle)
	}, out.handle)
	return resolved, nil
}

// Call is [Manager.Call] for a resolved function.
func (f *Function) Call(ctx context.Context, arguments []byte) ([]byte, error) {
	result, err := f.callHere(ctx, arguments)
	if err == errWouldWait {
		return f.manager.callAndWait(ctx, f.plugin, f.name, arguments)
	}
	return result, err
}

func (f *Function) callHere(ctx context.Context, arguments []byte) ([]byte, error) {
	frame := callFrames.Get().(*callFrame)
	defer frame.leave()
	status, err := f.call(ctx, frame, arguments, frame.scratch[:0])
	if err != nil {
		return nil, err
	}
	return frame.copyResult(ctx, f.manager.core.library, status)
}

// AppendCall is [Manager.AppendCall] for a resolved function.
func (f *Function) AppendCall(ctx context.Context, dst, arguments []byte) ([]byte, error) {
	appended, err := f.appendHere(ctx, dst, arguments)
	if err == errWouldWait {
		result, err := f.manager.callAndWait(ctx, f.plugin, f.name, arguments)
		return append(dst, result...), err
	}
	return appended, err
}

func (f *Function) appendHere(ctx context.Context, dst, arguments []byte) ([]byte, error) {
	frame := callFrames.Get().(*callFrame)
	defer frame.leave()
	status, err := f.call(ctx, frame, arguments, dst)
	if err != nil {
		return dst, err
	}
	return frame.result(ctx, f.manager.core.library, status, dst)
}

func (f *Function) call(ctx context.Context, frame *callFrame, arguments, dst []byte) (C.int32_t, error) {
	if err := frame.enter(ctx, f.manager.core, f.plugin); err != nil {
		return 0, err
	}
	frame.options.flags = C.GOATFLOW_PLUGIN_CALL_NO_WAITING
	if err := frame.watch(ctx, f.manager.core.library); err != nil {
		return 0, err
	}
	argumentsStart, argumentsLen := bytesOf(arguments)
	texts, _ := text(frame.texts)
	destination, _ := bytesOf(dst[len(dst):cap(dst)])
	status := C.gfp_function_call(f.manager.core.library.table, f.handle, argumentsStart, argumentsLen, &frame.options,
		texts, destination, C.size_t(cap(dst)-len(dst)), &frame.out)
	runtime.KeepAlive(f)
	return status, nil
}

// Close releases the function. Calls under way go on; later ones fail with ErrArgumentHandle.
func (f *Function) Close() error {
	if f.closed.CompareAndSwap(false, true) {
		f.cleanup.Stop()
		C.gfp_function_free(f.manager.core.library.table, f.handle)
	}
	return nil
}

type callValuesKey struct{}

type callValues struct {
	requestID, language, traceParent, traceState string
	// All of them in one piece, as C gets them.
	texts string
}

// withValues is ctx with call values that change has changed.
func withValues(ctx context.Context, change func(*callValues)) context.Context {
	var values callValues
	if before, ok := ctx.Value(callValuesKey{}).(*callValues); ok {
		values = *before
	}
	change(&values)
	values.texts = values.requestID + values.language + values.traceParent + values.traceState
	return context.WithValue(ctx, callValuesKey{}, &values)
}

// WithRequestID names the request that calls with this context belong to: it is shown in logs and handed to host
// callbacks. The library takes at most 128 bytes.
func WithRequestID(ctx context.Context, id string) context.Context {
	return withValues(ctx, func(values *callValues) { values.requestID = id })
}

// WithLanguage sets the language of calls with this context, for example "de", which translations use.
func WithLanguage(ctx context.Context, language string) context.Context {
	return withValues(ctx, func(values *callValues) { values.language = language })
}

// WithTrace ties calls with this context to a W3C trace: native plugins are handed the two texts. state may be empty. Check
// what strangers sent: a call with texts that are none of a trace fails with ErrArgumentInvalid.
func WithTrace(ctx context.Context, parent, state string) context.Context {
	return withValues(ctx, func(values *callValues) { values.traceParent, values.traceState = parent, state })
}

// cancellation is a cancellation object of the library. The call and the context's AfterFunc share one that was
// possibly used; the last of them frees it.
type cancellation struct {
	library *Library
	handle  C.uintptr_t
	holders atomic.Int32
}

func (c *cancellation) cancel(ctx context.Context) {
	// At its deadline the library ends the call by itself, with the better error.
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		C.gfp_cancellation_cancel(c.library.table, c.handle)
	}
	c.release()
}

func (c *cancellation) release() {
	if c.holders.Add(-1) == 0 {
		C.gfp_cancellation_free(c.library.table, c.handle)
	}
}

// cancellationPool keeps unused cancellation objects: most contexts never end before the call does.
type cancellationPool struct {
	sync.Mutex
	free []*cancellation
}

const maxPooledCancellations = 64

func (p *cancellationPool) get(l *Library) (*cancellation, error) {
	p.Lock()
	if last := len(p.free) - 1; last >= 0 {
		taken := p.free[last]
		p.free = p.free[:last]
		p.Unlock()
		return taken, nil
	}
	p.Unlock()
	var out C.gfp_out
	if err := l.check(C.gfp_cancellation_new(l.table, &out), &out); err != nil {
		return nil, err
	}
	fresh := &cancellation{library: l, handle: out.handle}
	fresh.holders.Store(2)
	return fresh, nil
}

func (p *cancellationPool) put(c *cancellation) {
	p.Lock()
	if len(p.free) < maxPooledCancellations {
		p.free = append(p.free, c)
		p.Unlock()
		return
	}
	p.Unlock()
	C.gfp_cancellation_free(c.library.table, c.handle)
}
