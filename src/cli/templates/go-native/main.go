// The GoatFlow plugin {{name}}.
package main

import (
	plugin "example.com/plugin/internal/goatflow"
	"example.com/plugin/internal/goatflow/native"
)

func init() {
	plugin.Register(plugin.Registration{
		Name:        "{{name}}",
		Version:     "0.1.0",
		Description: "Greets, and counts tickets",
		Routes: []plugin.Route{
			{Method: "GET", Path: "/api/plugins/{{name}}/hello", Handler: "hello", Middleware: []string{"auth"}},
			{Method: "GET", Path: "/api/plugins/{{name}}/tickets", Handler: "tickets", Middleware: []string{"auth"}},
		},
	})
	plugin.Handle("hello", hello)
	plugin.Handle("tickets", tickets)
}

// Calls are served at the same time: what handlers share has to be locked.
func main() { native.Serve() }

// hello greets {"name": "…"}.
func hello(call *plugin.Call) (any, error) {
	args := struct{ Name string }{Name: "World"}
	if err := call.Bind(&args); err != nil {
		return nil, err
	}
	return map[string]string{"message": "Hello, " + args.Name + "!"}, nil
}

// tickets counts the tickets; plugin.yaml asks for the table.
func tickets(call *plugin.Call) (any, error) {
	rows, err := call.DB.Query("SELECT COUNT(*) AS tickets FROM ticket")
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}
