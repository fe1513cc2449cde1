// Command host is the demo: a host on an embedded ticket database loads plugins, calls them, sees one refused,
// changes its policy live, and exchanges one for its next version while others call it. examples-c and the Python example do the same and print the same, byte for byte.
//
//	host DATABASE PLUGIN...        go run . tickets.db ../../examples-plugins/ticket-stats-go
//	host DATABASE PLUGIN... -- NEXT        NEXT is a newer version of the last plugin
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintf(os.Stderr, "usage: %s DATABASE PLUGIN...\n", os.Args[0])
		os.Exit(2)
	}
	plugins, next := os.Args[2:], ""
	if last := len(plugins) - 1; last > 1 && plugins[last-1] == "--" {
		plugins, next = plugins[:last-1], plugins[last]
	}
	if err := run(os.Stdout, os.Args[1], plugins, next); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out io.Writer, database string, paths []string, next string) error {
	library, err := goatflowplugin.Open("")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "goatflow-plugin abi %d\n", library.ABI())

	manager, err := library.NewManager(map[string]any{
		"version":  1,
		"database": map[string]any{"sqlite": map[string]any{"path": database}},
	})
	if err != nil {
		return err
	}
	defer manager.Close()

	demo := demo{out: out, manager: manager}
	var plugins []string
	for _, path := range paths {
		name, err := manager.Load(path, nil)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "loaded %s\n", name)
		plugins = append(plugins, name)
	}
	for _, plugin := range plugins {
		if err := demo.plugin(plugin); err != nil {
			return fmt.Errorf("%s: %w", plugin, err)
		}
	}
	_, err = manager.Call(context.Background(), "absent", "x", nil)
	fmt.Fprintf(out, "error %s\n", code(err))
	if err := demo.handle(plugins[0]); err != nil {
		return err
	}
	if err := demo.async(plugins[0]); err != nil {
		return err
	}
	if next != "" {
		if err := demo.next(plugins[len(plugins)-1], next); err != nil {
			return err
		}
	}

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := manager.Shutdown(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "shut down")
	return nil
}

type demo struct {
	out     io.Writer
	manager *goatflowplugin.Manager
}

func (d demo) plugin(plugin string) error {
	registration, err := d.manager.Registration(plugin)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "registration %s %s\n", plugin, registration)

	d.call("overview", plugin, "overview", `{}`)
	d.call("widget", plugin, "widget", `{}`)
	d.call("ticket", plugin, "ticket", `{"id":1}`)
	d.call("users", plugin, "users", `{}`) // not granted: the plugin reports the refusal

	if _, err := d.manager.Policy(plugin); err != nil {
		return err
	}
	policy := `{"version":1,"status":"approved","permissions":[` +
		`{"type":"db","access":"read","scope":["ticket","queue","ticket_state","users"]},` +
		`{"type":"cache","access":"readwrite"}]}`
	if _, err := d.manager.SetPolicy(plugin, policy, goatflowplugin.AnyRevision); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "policy %s changed\n", plugin)
	d.call("users", plugin, "users", `{}`)
	if _, err := d.manager.SetPolicy(plugin, nil, goatflowplugin.AnyRevision); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "policy %s removed\n", plugin)
	d.call("users", plugin, "users", `{}`)

	remember := []byte(`{"key":"k","value":"v"}`)
	if _, err := d.manager.Call(context.Background(), plugin, "remember", remember); err != nil {
		return err
	}
	d.call("recall", plugin, "recall", `{"key":"k"}`)
	d.call("unknown", plugin, "nope", `{}`)
	return nil
}

// call prints the result, or the code of the error when the call failed.
func (d demo) call(label, plugin, function, arguments string) {
	result, err := d.manager.Call(context.Background(), plugin, function, []byte(arguments))
	if err != nil {
		fmt.Fprintf(d.out, "%s %s %s\n", label, plugin, code(err))
		return
	}
	fmt.Fprintf(d.out, "%s %s %s\n", label, plugin, answer(result))
}

// handle calls through a function handle, which skips the look-up by name.
func (d demo) handle(plugin string) error {
	function, err := d.manager.Function(plugin, "overview")
	if err != nil {
		return err
	}
	defer function.Close()
	var first []byte
	for n := 1; n <= 3; n++ {
		result, err := function.Call(context.Background(), []byte(`{}`))
		if err != nil {
			return err
		}
		if n == 1 {
			first = result
		}
		same := "same"
		if !bytes.Equal(result, first) {
			same = "different"
		}
		fmt.Fprintf(d.out, "handle %d %s\n", n, same)
	}
	return nil
}

// async makes a call that occupies no thread while it runs.
func (d demo) async(plugin string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	operation, err := d.manager.CallAsync(ctx, plugin, "overview", []byte(`{}`))
	if err != nil {
		return err
	}
	result, err := operation.Wait()
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "async %s\n", answer(result))
	return nil
}

// next lets the next version take over while others call the plugin; none of their calls fails.
func (d demo) next(plugin, path string) error {
	const callers = 4
	var calls, failures atomic.Int64
	var stop atomic.Bool
	var group sync.WaitGroup
	for range callers {
		group.Add(1)
		go func() {
			defer group.Done()
			for !stop.Load() {
				answer, err := d.manager.Call(context.Background(), plugin, "recall", []byte(`{"key":"k"}`))
				if err != nil || string(answer) != `{"found":true,"value":"v"}` {
					failures.Add(1)
				}
				calls.Add(1)
			}
		}()
	}
	await := func(more int64) {
		for before := calls.Load(); calls.Load() < before+more; {
			time.Sleep(time.Millisecond)
		}
	}
	await(50)
	report, err := d.manager.Replace(context.Background(), path, goatflowplugin.ReplaceOptions{})
	if err == nil {
		await(50)
	}
	stop.Store(true)
	group.Wait()
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "swapped %s %s -> %s under load, failed calls: %d\n",
		plugin, report.OldVersion, report.NewVersion, failures.Load())
	d.call("ticket", plugin, "ticket", `{"id":1}`)
	d.call("users", plugin, "users", `{}`) // what is granted belongs to the name
	return nil
}

// answer stands a dash for a plugin that answered nothing.
func answer(result []byte) []byte {
	if len(result) == 0 {
		return []byte("-")
	}
	return result
}

// code is the stable name of a library error.
func code(err error) string {
	var failure *goatflowplugin.Error
	if errors.As(err, &failure) {
		return failure.Code
	}
	return fmt.Sprint(err)
}
