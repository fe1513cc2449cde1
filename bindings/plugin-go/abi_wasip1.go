package plugin

import (
	"context"
	"encoding/json"
	"runtime/debug"
	"unsafe"
)

// The guest contract, byte by byte. A packed value is pointer << 32 | length; 0 is "nothing".
//
// Ownership: the host frees what it allocates for gk_call and the result of gk_call; the reply of host_call and the text
// of last_error belong to the guest; nobody frees the result of gk_register.

//go:wasmimport gk host_call
func hostCall(function, arguments string) uint64

//go:wasmimport gk log
func hostLog(level int32, message string)

//go:wasmimport gk last_error
func hostLastError() uint64

//go:wasmimport gk caller
func hostCaller() uint64

// owned keeps every block that the host knows alive, by address: to the collector an address held by the host is no
// reference.
var owned = map[uintptr][]byte{}

// Sandboxes grant 16 MiB of linear memory unless an administrator allows more. Linear memory never shrinks, so the
// collector has to start early: it runs at the latest when the heap reaches this size.
const heapLimit = 6 << 20

func init() {
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(heapLimit)
}

//go:wasmexport gk_malloc
func gkMalloc(size uint32) unsafe.Pointer {
	return hold(make([]byte, max(size, 1)))
}

//go:wasmexport gk_free
func gkFree(block unsafe.Pointer) {
	delete(owned, uintptr(block))
}

//go:wasmexport gk_register
func gkRegister() uint64 {
	return pack(register())
}

//go:wasmexport gk_call
func gkCall(function, arguments string) uint64 {
	return pack(dispatch(&Call{Function: function, Args: bytesOf(arguments)}))
}

// callHost makes one host call. Failure is an [*Error]; an empty reply without one is nil.
func callHost(_ context.Context, function string, arguments []byte) (json.RawMessage, error) {
	if reply := take(hostCall(function, unsafe.String(unsafe.SliceData(arguments), len(arguments)))); reply != nil {
		return reply, nil
	}
	reason := take(hostLastError())
	if reason == nil {
		return nil, nil
	}
	failure := &Error{Function: function}
	if err := json.Unmarshal(reason, failure); err != nil {
		failure.Message = string(reason)
	}
	return nil, failure
}

func writeLog(_ context.Context, level int32, message string) {
	hostLog(level, message)
}

func callersOf(*Call) []string {
	var caller struct{ Chain []string }
	if document := take(hostCaller()); document != nil {
		_ = json.Unmarshal(document, &caller) // the host's own document
	}
	return caller.Chain
}

// hold gives a block to the host.
func hold(block []byte) unsafe.Pointer {
	address := unsafe.Pointer(unsafe.SliceData(block))
	owned[uintptr(address)] = block
	return address
}

// pack gives a document to the host.
func pack(document []byte) uint64 {
	if len(document) == 0 {
		return 0
	}
	return uint64(uintptr(hold(document)))<<32 | uint64(len(document))
}

// take gets back a block that the host allocated for the guest, cut to the length it filled.
func take(packed uint64) []byte {
	if packed == 0 {
		return nil
	}
	address := uintptr(packed >> 32)
	block := owned[address]
	delete(owned, address)
	return block[:uint32(packed)]
}

func bytesOf(s string) []byte {
	return unsafe.Slice(unsafe.StringData(s), len(s))
}
