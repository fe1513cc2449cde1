// Command escape is a plugin in the Go SDK that tries to get out of its jail: each call makes one attempt of tests/jail/probe.c.
package main

// #include <stdlib.h>
// const char *probe_attempt(int number, int count, char **list);
// const char *probe_name(int number);
import "C"

import (
	"runtime"
	"unsafe"

	plugin "github.com/goatkit/goatflow-plugin/bindings/plugin-go"
	"github.com/goatkit/goatflow-plugin/bindings/plugin-go/native"
)

func main() {
	plugin.Register(plugin.Registration{Name: "escape", Version: "1.0.0"})
	plugin.Handle("names", names)
	plugin.Handle("attempt", attempt)
	native.Serve()
}

func names(*plugin.Call) (any, error) {
	var all []string
	for {
		name := C.probe_name(C.int(len(all)))
		if name == nil {
			return all, nil
		}
		all = append(all, C.GoString(name))
	}
}

func attempt(call *plugin.Call) (any, error) {
	var args struct {
		Number  int
		Planted []string
	}
	if err := call.Bind(&args); err != nil {
		return nil, err
	}
	// What an attempt changes about its thread stays with that: the thread ends with the goroutine.
	runtime.LockOSThread()
	list := make([]*C.char, 0, len(args.Planted)+3)
	for _, text := range append([]string{"probe", "0"}, args.Planted...) {
		text := C.CString(text)
		defer C.free(unsafe.Pointer(text))
		list = append(list, text)
	}
	list = append(list, nil)
	return C.GoString(C.probe_attempt(C.int(args.Number), C.int(len(list)-1), &list[0])), nil
}
