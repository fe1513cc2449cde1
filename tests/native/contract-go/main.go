// Command contract-go is the plugin of tests/all/native_contract.rs, as a WebAssembly module and as a program that speaks
// gRPC; contract-netrpc and contract-python are the same once more.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	plugin "github.com/goatkit/goatflow-plugin/bindings/plugin-go"
	"github.com/goatkit/goatflow-plugin/bindings/plugin-go/native"
)

func init() {
	plugin.Register(registration)
	plugin.Handle("echo", func(call *plugin.Call) (any, error) { return call.Args, nil })
	plugin.Handle("nothing", func(*plugin.Call) (any, error) { return nil, nil })
	plugin.Handle("big", big)
	plugin.Handle("fail", func(*plugin.Call) (any, error) { return nil, errors.New("boom") })
	plugin.Handle("crash", func(*plugin.Call) (any, error) { os.Exit(3); return nil, nil })
	plugin.Handle("spin", spin)
	plugin.Handle("sleep", sleep)
	plugin.Handle("host", host)
	plugin.Handle("hosts", hosts)
	plugin.Handle("env", env)
	plugin.Handle("log", log)
	plugin.Handle("stdout", stdout)
	plugin.Handle("stderr", stderr)
	plugin.Handle("state", state)
	plugin.Handle("callers", callers)
	plugin.Handle("deadline", deadline)
}

func main() { native.Serve() }

// arguments are those of all functions.
type arguments struct {
	Bytes     int
	MS        int
	N         int
	Function  string
	Arguments json.RawMessage
	Level     string
	Message   string
	Text      string
}

func read(call *plugin.Call) (args arguments, err error) {
	return args, call.Bind(&args)
}

func big(call *plugin.Call) (any, error) {
	args, err := read(call)
	return strings.Repeat("x", args.Bytes), err
}

func spin(call *plugin.Call) (any, error) {
	args, err := read(call)
	for end := time.Now().Add(time.Duration(args.MS) * time.Millisecond); time.Now().Before(end); {
	}
	return map[string]bool{"done": true}, err
}

func sleep(call *plugin.Call) (any, error) {
	args, err := read(call)
	time.Sleep(time.Duration(args.MS) * time.Millisecond)
	return map[string]bool{"done": true}, err
}

// answer is what a host call gave.
type answer struct {
	OK     bool            `json:"ok"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
	Code   string          `json:"code,omitempty"`
}

func host(call *plugin.Call) (any, error) {
	args, err := read(call)
	if err != nil {
		return nil, err
	}
	var reply json.RawMessage
	if err := call.Host(args.Function, args.Arguments, &reply); err != nil {
		failure, _ := errors.AsType[*plugin.Error](err)
		return answer{Error: failure.Message, Code: failure.Code}, nil
	}
	return answer{OK: true, Result: reply}, nil
}

func hosts(call *plugin.Call) (any, error) {
	args, err := read(call)
	var group sync.WaitGroup
	var answered atomic.Int32
	for number := range args.N {
		group.Go(func() {
			if call.Cache.Set(fmt.Sprint(number), []byte("x"), 0) == nil {
				answered.Add(1)
			}
		})
	}
	group.Wait()
	return map[string]int32{"answered": answered.Load()}, err
}

func env(*plugin.Call) (any, error) {
	variables := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		variables[name] = value
	}
	return variables, nil
}

func log(call *plugin.Call) (any, error) {
	args, err := read(call)
	write := map[string]func(string, ...any){
		"debug": call.Log.Debug, "info": call.Log.Info, "warn": call.Log.Warn, "error": call.Log.Error,
	}[args.Level]
	if err == nil {
		write("%s", args.Message)
	}
	return nil, err
}

func stdout(call *plugin.Call) (any, error) {
	args, err := read(call)
	fmt.Println(args.Text)
	return nil, err
}

func stderr(call *plugin.Call) (any, error) {
	args, err := read(call)
	fmt.Fprintln(os.Stderr, args.Text)
	return nil, err
}

var count atomic.Int32

func state(*plugin.Call) (any, error) {
	return map[string]int32{"count": count.Add(1)}, nil
}

func callers(call *plugin.Call) (any, error) {
	return map[string]any{"callers": append([]string{}, call.Callers()...)}, nil
}

func deadline(call *plugin.Call) (any, error) {
	_, limited := call.Context().Deadline()
	return map[string]bool{"limited": limited}, nil
}
