package goatflowplugin

// #include "shim.h"
import "C"

import (
	"context"
	"runtime/cgo"
	"unsafe"
)

// The library enters Go here. user_data and host_context are cgo.Handle values, never addresses.

//export goatflowpluginHostCall
func goatflowpluginHostCall(
	userData C.uintptr_t, call *C.goatflow_plugin_host_call, reply C.uintptr_t, hostContext C.uintptr_t,
) C.int32_t {
	callback, ok := valueOf[*hostCallback](userData)
	if !ok {
		return C.int32_t(ErrInternalBug)
	}
	ctx, _ := valueOf[context.Context](hostContext)
	return callback.run(hostCallOf(call, &Reply{library: callback.library, handle: reply}, ctx))
}

//export goatflowpluginEvent
func goatflowpluginEvent(userData C.uintptr_t, event *C.char, length C.size_t) {
	if callback, ok := valueOf[eventCallback](userData); ok {
		callback.run(C.GoBytes(unsafe.Pointer(event), C.int(length)))
	}
}

//export goatflowpluginFinalize
func goatflowpluginFinalize(userData C.uintptr_t) {
	// A second finalization, a fault of the library, must not take the process down; liveHandles shows it to tests.
	defer func() { _ = recover() }()
	deleteHandle(cgo.Handle(userData))
}
