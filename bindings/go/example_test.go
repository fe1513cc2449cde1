package goatflowplugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

func Example() {
	library, err := goatflowplugin.Open("")
	if err != nil {
		log.Fatal(err)
	}
	manager, err := library.NewManager(map[string]any{
		"version":  1,
		"database": map[string]any{"sqlite": map[string]any{"path": "tickets.db"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer manager.Close()
	plugin, err := manager.Load("plugins/ticket-stats", nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	result, err := manager.Call(ctx, plugin, "overview", []byte(`{}`))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("too slow")
	case errors.Is(err, goatflowplugin.ErrPolicyBlocked):
		fmt.Println("an administrator has blocked the plugin")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Printf("%s\n", result)
	}
}

// Many slow calls at once: each goroutine waits on the network poller, not in a thread.
func ExampleManager_CallAsync() {
	var manager *goatflowplugin.Manager // from Library.NewManager
	operation, err := manager.CallAsync(context.Background(), "reports", "year", []byte(`{"year":2026}`))
	if err != nil {
		log.Fatal(err)
	}
	result, err := operation.Wait()
	fmt.Println(string(result), err)
}

// A host function of the application's own, answered from another goroutine. Plugins need the permission "org".
func ExampleManager_Declare() {
	var manager *goatflowplugin.Manager // from Library.NewManager
	err := manager.Declare(
		goatflowplugin.Declaration{Name: "org_id", Permission: "org", Access: "read"},
		func(call goatflowplugin.HostCall) ([]byte, error) {
			reply := call.Defer()
			go func() {
				organisation, err := lookUp(call.Context(), call.Plugin)
				if err != nil {
					_ = reply.Fail(err)
					return
				}
				_ = reply.Result(organisation)
			}()
			return nil, nil
		})
	if err != nil {
		log.Fatal(err)
	}
}

func lookUp(context.Context, string) (json.RawMessage, error) { return json.RawMessage(`7`), nil }
