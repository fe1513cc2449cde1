// A plugin as GoatFlow's existing native ones are built, for tests: the wire types are its own, and flags in its
// environment pick what it does.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"strings"
	"sync"

	"github.com/hashicorp/go-plugin"
)

// RouteSpec is a part of a registration.
type RouteSpec struct {
	Method, Path, Handler string
	Middleware            []string
	Description           string
}

// MenuItemSpec is a part of a registration that contains itself.
type MenuItemSpec struct {
	ID, Label, Icon, Path, Location, Parent string
	Order                                   int
	Children                                []MenuItemSpec
}

// JobSpec is a part of a registration.
type JobSpec struct {
	ID, Handler, Schedule, Description string
	Enabled                            bool
	Timeout                            string
}

// I18nSpec is a part of a registration.
type I18nSpec struct {
	Namespace    string
	Languages    []string
	Translations map[string]map[string]string
}

// ErrorCodeSpec is a part of a registration.
type ErrorCodeSpec struct {
	Code, Message string
	HTTPStatus    int
}

// GKRegistration is what plugins answered before registrations were JSON.
type GKRegistration struct {
	Name, Version, Description, Author, License, Homepage string
	Routes                                                []RouteSpec
	MenuItems                                             []MenuItemSpec
	Jobs                                                  []JobSpec
	I18n                                                  *I18nSpec
	ErrorCodes                                            []ErrorCodeSpec
	MinHostVersion                                        string
	Permissions                                           []string
}

// InitRequest is what a plugin learns when it starts.
type InitRequest struct {
	Config    map[string]string
	HostAPIID uint32
}

// CallRequest is a call; older plugins have no CallToken.
type CallRequest struct {
	Function string
	Args     json.RawMessage
}

// CallResponse is the answer of a call.
type CallResponse struct {
	Result json.RawMessage
	Error  string
}

// HostAPIRPCRequest is a host call.
type HostAPIRPCRequest struct {
	Method       string
	Args         json.RawMessage
	CallerPlugin string
}

// HostAPIRPCResponse is the answer of a host call.
type HostAPIRPCResponse struct {
	Result json.RawMessage
	Error  string
}

type peer struct {
	broker *plugin.MuxBroker
	host   *rpc.Client
	name   string
}

func (p *peer) Init(request InitRequest, _ *interface{}) error {
	p.name = request.Config["plugin_name"]
	if reason := request.Config["fail"]; reason != "" {
		return errors.New(reason)
	}
	if request.Config["dial"] != "yes" {
		return nil
	}
	connection, err := p.broker.Dial(request.HostAPIID)
	if err != nil {
		return err
	}
	p.host = rpc.NewClient(connection)
	_, err = p.ask("hello", json.RawMessage(`{}`))
	return err
}

func (p *peer) ask(function string, arguments json.RawMessage) (json.RawMessage, error) {
	var response HostAPIRPCResponse
	request := HostAPIRPCRequest{Method: function, Args: arguments, CallerPlugin: "somebody-else"}
	if err := p.host.Call("Plugin.Call", request, &response); err != nil {
		return nil, fmt.Errorf("host rpc: %w", err)
	}
	if response.Error != "" {
		return nil, fmt.Errorf("host: %s", response.Error)
	}
	return response.Result, nil
}

func (p *peer) Call(request CallRequest, response *CallResponse) error {
	switch request.Function {
	case "echo":
		response.Result = request.Args
	case "nothing":
	case "fail":
		response.Error = "failed as told"
	case "rpc-error":
		return errors.New("not even called")
	case "big":
		var size int
		if err := json.Unmarshal(request.Args, &size); err != nil {
			return err
		}
		response.Result = json.RawMessage(`"` + strings.Repeat("x", size-2) + `"`)
	case "ask":
		result, err := p.ask("echo", request.Args)
		response.Result = result
		if err != nil {
			response.Error = err.Error()
		}
	case "ask-many":
		p.askMany(response)
	case "ask-wrong":
		var answer HostAPIRPCResponse
		for _, method := range []string{"Plugin.Nope", "Other.Call", "nodot"} {
			response.Error += fmt.Sprintln(p.host.Call(method, HostAPIRPCRequest{}, &answer))
		}
	case "print":
		fmt.Fprint(os.Stdout, "to stdout")
		fmt.Fprint(os.Stderr, "to stderr")
	case "crash":
		os.Exit(3)
	case "hang":
		select {}
	}
	return nil
}

func (p *peer) askMany(response *CallResponse) {
	var group sync.WaitGroup
	wrong := make(chan string, 256)
	for i := range 64 {
		group.Add(1)
		go func() {
			defer group.Done()
			want := fmt.Sprintf("[%d,%q]", i, strings.Repeat("y", 10000))
			got, err := p.ask("echo", json.RawMessage(want))
			if err != nil || string(got) != want {
				wrong <- fmt.Sprintf("%d: %v", i, err)
			}
		}()
	}
	group.Wait()
	close(wrong)
	for text := range wrong {
		response.Error += text + "\n"
	}
	response.Result = json.RawMessage(`64`)
}

func (p *peer) Shutdown(_ interface{}, _ *interface{}) error {
	return nil
}

// jsonPeer registers with JSON, as plugins do since 0.7.0.
type jsonPeer struct{ peer }

func (p *jsonPeer) GKRegister(_ interface{}, response *[]byte) error {
	*response = []byte(`{"name":"peer","version":"1.0.0"}`)
	return nil
}

// structPeer registers with a struct, as plugins of 0.6.5 do.
type structPeer struct{ peer }

func (p *structPeer) GKRegister(_ interface{}, response *GKRegistration) error {
	child := MenuItemSpec{ID: "child", Label: "Child", Path: "/c", Location: "agent"}
	*response = GKRegistration{
		Name:    "peer",
		Version: "0.6.5",
		Routes:  []RouteSpec{{Method: "GET", Path: "/p", Handler: "h", Middleware: []string{"auth"}}},
		MenuItems: []MenuItemSpec{
			{ID: "top", Label: "Top", Path: "/t", Location: "admin", Order: -3, Children: []MenuItemSpec{child}},
		},
		Jobs:           []JobSpec{{ID: "j", Handler: "run", Schedule: "* * * * *", Enabled: true, Timeout: "1m"}},
		I18n:           &I18nSpec{Languages: []string{"de"}, Translations: map[string]map[string]string{"de": {"MyKey": "Hallo"}}},
		ErrorCodes:     []ErrorCodeSpec{{Code: "X", Message: "x", HTTPStatus: 418}},
		MinHostVersion: "0.6.0",
	}
	return nil
}

// mapPeer takes its settings alone, as plugins of 0.6.4 do; those know nothing of a host that can be called.
type mapPeer struct {
	structPeer
	settings map[string]string
}

func (p *mapPeer) Init(settings map[string]string, _ *interface{}) error {
	p.settings = settings
	if reason := settings["fail"]; reason != "" {
		return errors.New(reason)
	}
	return nil
}

func (p *mapPeer) Call(request CallRequest, response *CallResponse) (err error) {
	if request.Function != "settings" {
		return p.peer.Call(request, response)
	}
	response.Result, err = json.Marshal(p.settings)
	return err
}

type service struct{}

func (service) Server(broker *plugin.MuxBroker) (interface{}, error) {
	switch os.Getenv("PEER_REGISTERS") {
	case "struct":
		return &structPeer{peer{broker: broker}}, nil
	case "map":
		return &mapPeer{structPeer: structPeer{peer{broker: broker}}}, nil
	}
	return &jsonPeer{peer{broker: broker}}, nil
}

func (service) Client(*plugin.MuxBroker, *rpc.Client) (interface{}, error) {
	return nil, errors.New("this is a plugin")
}

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion: 1, MagicCookieKey: "GOATKIT_PLUGIN", MagicCookieValue: "goatkit-v1",
		},
		Plugins: map[string]plugin.Plugin{"gkplugin": service{}},
	})
}
