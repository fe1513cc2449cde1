// Package native serves a plugin that is written with package plugin as a program of its own, over hashicorp/go-plugin's
// gRPC. The same sources make a WebAssembly module and a native plugin:
//
//	package main
//
//	import (
//		plugin "github.com/goatkit/goatflow-plugin/bindings/plugin-go"
//		"github.com/goatkit/goatflow-plugin/bindings/plugin-go/native"
//	)
//
//	func init() {
//		plugin.Register(plugin.Registration{Name: "hello", Version: "1.0.0"})
//		plugin.Handle("hello", func(call *plugin.Call) (any, error) {
//			return map[string]string{"message": "Hello!"}, nil
//		})
//	}
//
//	func main() { native.Serve() }
//
// Build it with
//
//	CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o hello
//
// One process serves all calls, many at the same time: handlers that share variables have to lock them. A module serves
// one call at a time in each of its instances, so this is what to look at when sources of a module become a program.
//
// Host calls made with the services of a [plugin.Call] (call.DB.Query) carry that call's name, so that the host applies
// its deadline and knows whom it is for. Those of the package (plugin.DB.Query) carry none; the host then takes the call
// that is nested deepest among those that the program serves.
package native
