// Command plugin-go is one version of the load test's program; plugin-c/plugin.c is the same as a module. It is built
// once: what it is called, its version and what becomes of it are written into the built program.
package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	plugin "github.com/goatkit/goatflow-plugin/bindings/plugin-go"
	"github.com/goatkit/goatflow-plugin/bindings/plugin-go/native"
)

// identity is what identify.py overwrites: name, version and fate.
var identity = "@load-identity@                                                                "

var version, fate string

func init() {
	fields := strings.Fields(identity)
	if len(fields) != 4 {
		os.Exit(2)
	}
	version, fate = fields[2], fields[3]
	if fate == "mute" {
		os.Exit(0)
	}
	plugin.Register(plugin.Registration{Name: fields[1], Version: version})
	handle("who", func(*plugin.Call) (any, error) { return answer{Version: version}, nil })
	handle("pause", pause)
	handle("ask", ask)
}

func main() {
	native.Serve(
		native.OnInit(func(map[string]string) error {
			if fate == "hangs" {
				time.Sleep(time.Hour)
			}
			return nil
		}),
		native.OnHealth(func() error {
			if fate == "sick" {
				return errors.New("not well")
			}
			return nil
		}),
	)
}

// handle registers a handler, which no call of a version that crashes lives to see.
func handle(function string, handler plugin.Handler) {
	plugin.Handle(function, func(call *plugin.Call) (any, error) {
		if fate == "crashes" {
			os.Exit(3)
		}
		return handler(call)
	})
}

type answer struct {
	Version string `json:"version"`
	Other   string `json:"other,omitempty"`
	Error   string `json:"error,omitempty"`
}

func failed(err error) (any, error) {
	if failure, ok := errors.AsType[*plugin.Error](err); ok && failure.Code != "" {
		return answer{Version: version, Error: failure.Code}, nil
	}
	return answer{Version: version, Error: err.Error()}, nil
}

// pause waits in the host, and half as long again in the program itself.
func pause(call *plugin.Call) (any, error) {
	var args struct{ MS int }
	if err := call.Bind(&args); err != nil {
		return failed(err)
	}
	if err := call.Host("load_pause", map[string]int{"ms": args.MS * 2 / 3}, nil); err != nil {
		return failed(err)
	}
	time.Sleep(time.Duration(args.MS/3) * time.Millisecond)
	return answer{Version: version}, nil
}

func ask(call *plugin.Call) (any, error) {
	var args struct{ Plugin string }
	if err := call.Bind(&args); err != nil {
		return failed(err)
	}
	document, err := call.CallPlugin(args.Plugin, "who", struct{}{})
	if err != nil {
		return failed(err)
	}
	var other answer
	if err := json.Unmarshal(document, &other); err != nil {
		return failed(err)
	}
	return answer{Version: version, Other: other.Version}, nil
}
