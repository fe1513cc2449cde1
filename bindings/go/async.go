package goatflowplugin

// #include "shim.h"
import "C"

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/cgo"
	"sync"
	"syscall"
	"time"
)

// Operation is one asynchronous call.
type Operation struct {
	manager     *Manager // also keeps it from being freed
	ctx         context.Context
	tag         C.uint64_t
	done        chan struct{}
	stop        func() bool
	hostContext cgo.Handle

	// Set before done is closed.
	result []byte
	err    error

	mu       sync.Mutex
	handle   C.uintptr_t // 0 until the library has taken the call, and again when it is over
	finished bool
	cancel   bool
}

// Done is closed when the call is over.
func (o *Operation) Done() <-chan struct{} { return o.done }

// Wait waits until the call is over and returns what [Manager.Call] would have returned. It may be called any number of
// times. To stop waiting early, select on Done, or cancel the call's context.
func (o *Operation) Wait() ([]byte, error) {
	<-o.done
	return o.result, o.err
}

// Cancel asks the library to end the call; Wait then returns ErrPluginCancelled, unless the call was over already.
func (o *Operation) Cancel() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.handle != 0 {
		C.gfp_operation_cancel(o.manager.core.library.table, o.handle)
	} else if !o.finished {
		o.cancel = true
	}
}

// contextOver cancels the call, except at its deadline: there the library ends it by itself, with the better error.
func (o *Operation) contextOver() {
	if o.ctx.Err() != context.DeadlineExceeded {
		o.Cancel()
	}
}

// started notes the library's handle of the call, which may be over already.
func (o *Operation) started(handle C.uintptr_t) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.finished {
		C.gfp_operation_free(o.manager.core.library.table, handle)
		return
	}
	o.handle = handle
	if o.cancel {
		C.gfp_operation_cancel(o.manager.core.library.table, handle)
	}
}

// finish ends the operation; it is called once, by whoever took it out of the queue's table.
func (o *Operation) finish(result []byte, err error) {
	o.mu.Lock()
	o.finished = true
	handle := o.handle
	o.handle = 0
	o.mu.Unlock()
	if handle != 0 {
		C.gfp_operation_free(o.manager.core.library.table, handle)
	}
	if o.stop != nil {
		o.stop()
	}
	if o.hostContext != 0 {
		deleteHandle(o.hostContext)
	}
	o.result, o.err = result, err
	close(o.done)
}

// CallAsync starts a call and returns at once. The library's own workers run it, so that a slow plugin costs the
// application no thread; the result arrives through the manager's completion queue. arguments are copied.
//
// An error of CallAsync means that the call was not started. The context governs the call, not just its start.
func (m *Manager) CallAsync(
	ctx context.Context, plugin, function string, arguments []byte,
) (*Operation, error) {
	defer runtime.KeepAlive(m)
	queue, err := m.core.completions()
	if err != nil {
		return nil, err
	}
	frame := callFrames.Get().(*callFrame)
	defer frame.leave()
	if err := frame.enter(ctx, m.core, plugin); err != nil {
		return nil, err
	}
	operation := &Operation{manager: m, ctx: ctx, done: make(chan struct{})}
	operation.hostContext, frame.scope.hostContext = frame.scope.hostContext, 0
	queue.add(operation)
	pluginStart, pluginLen := text(plugin)
	functionStart, functionLen := text(function)
	argumentsStart, argumentsLen := bytesOf(arguments)
	texts, _ := text(frame.texts)
	status := C.gfp_call_enqueue(m.core.library.table, m.core.handle, pluginStart, pluginLen, functionStart,
		functionLen, argumentsStart, argumentsLen, &frame.options, texts, queue.handle, operation.tag, &frame.out)
	if status != 0 {
		queue.remove(operation.tag)
		err := m.core.library.takeError(status, &frame.out).becauseOf(ctx)
		operation.finish(nil, err)
		return nil, err
	}
	operation.started(frame.out.handle)
	if ctx.Done() != nil {
		operation.watch()
	}
	return operation, nil
}

// watch ties the operation to its context.
func (o *Operation) watch() {
	stop := context.AfterFunc(o.ctx, o.contextOver)
	o.mu.Lock()
	finished := o.finished
	if !finished {
		o.stop = stop
	}
	o.mu.Unlock()
	if finished {
		stop()
	}
}

// completionQueue receives what asynchronous calls of one manager answer. Its only goroutine waits on the network poller
// for the queue's eventfd.
type completionQueue struct {
	library *Library
	handle  C.uintptr_t
	file    *os.File
	batch   *[C.GFP_BATCH]C.gfp_completion

	mu      sync.Mutex
	tag     C.uint64_t
	waiting map[C.uint64_t]*Operation
	closing bool
	failed  error
}

func newCompletionQueue(l *Library) (*completionQueue, error) {
	var out C.gfp_out
	if err := l.check(C.gfp_queue_new(l.table, &out), &out); err != nil {
		return nil, err
	}
	descriptor := int(out.number)
	// The poller takes non-blocking descriptors only; the library's eventfd is one already.
	if err := syscall.SetNonblock(descriptor, true); err != nil {
		return nil, fmt.Errorf("goatflowplugin: completion queue: %w", err)
	}
	file := os.NewFile(uintptr(descriptor), "goatflow-plugin completions")
	if err := file.SetReadDeadline(time.Time{}); err != nil {
		file.Close()
		C.gfp_queue_free(l.table, out.handle)
		return nil, fmt.Errorf("goatflowplugin: completion queue: %w", err)
	}
	queue := &completionQueue{
		library: l,
		handle:  out.handle,
		file:    file,
		batch:   new([C.GFP_BATCH]C.gfp_completion),
		waiting: map[C.uint64_t]*Operation{},
	}
	go queue.run()
	return queue, nil
}

// add gives the operation its tag and a place in the table.
func (q *completionQueue) add(operation *Operation) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tag++
	operation.tag = q.tag
	q.waiting[q.tag] = operation
}

// remove takes an operation out of the table. After close, the last one ends the dispatcher.
func (q *completionQueue) remove(tag C.uint64_t) *Operation {
	q.mu.Lock()
	defer q.mu.Unlock()
	operation := q.waiting[tag]
	delete(q.waiting, tag)
	q.stopIfIdle()
	return operation
}

// close ends the dispatcher when the last call under way is over.
func (q *completionQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closing = true
	q.stopIfIdle()
}

func (q *completionQueue) stopIfIdle() {
	if q.closing && len(q.waiting) == 0 {
		q.file.Close()
	}
}

// run dispatches completions until the file is closed.
func (q *completionQueue) run() {
	defer C.gfp_queue_free(q.library.table, q.handle)
	poller, err := q.file.SyscallConn()
	if err != nil {
		q.abandon(err)
		return
	}
	for {
		var count int
		var failure error
		// The poller reports edges: the queue is asked before each wait, never after it was found readable once.
		err := poller.Read(func(uintptr) bool {
			count, failure = q.next()
			return count > 0 || failure != nil
		})
		if err != nil || failure != nil {
			q.abandon(failure)
			return
		}
		for i := range q.batch[:count] {
			q.dispatch(&q.batch[i])
		}
	}
}

func (q *completionQueue) next() (int, error) {
	var out C.gfp_out
	err := q.library.check(C.gfp_queue_next(q.library.table, q.handle, &q.batch[0], &out), &out)
	return int(out.len), err
}

func (q *completionQueue) dispatch(completion *C.gfp_completion) {
	var result []byte
	var failure error
	operation := q.remove(completion.tag)
	if completion.status == 0 {
		result = q.library.take(&completion.out)
	} else {
		taken := q.library.takeError(completion.status, &completion.out)
		if operation != nil {
			taken.becauseOf(operation.ctx)
		}
		failure = taken
	}
	if operation != nil {
		operation.finish(result, failure)
	}
}

// abandon fails what still waits; only a fault of the library or the system leads here with anything waiting.
func (q *completionQueue) abandon(cause error) {
	q.mu.Lock()
	q.closing = true
	waiting := q.waiting
	q.waiting = map[C.uint64_t]*Operation{}
	q.mu.Unlock()
	q.file.Close()
	for _, operation := range waiting {
		operation.finish(nil, fmt.Errorf("goatflowplugin: completion queue failed: %w", cause))
	}
}
