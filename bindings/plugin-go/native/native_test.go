package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	plugin "github.com/goatkit/goatflow-plugin/bindings/plugin-go"
	"github.com/goatkit/goatflow-plugin/bindings/plugin-go/native/pluginv1"
)

// The test's own binary is the plugin: go-plugin, as the host, starts it with the cookie.
func TestMain(m *testing.M) {
	if os.Getenv(handshake.MagicCookieKey) == "" {
		os.Exit(m.Run())
	}
	plugin.Register(plugin.Registration{Name: "test", Version: "1.0.0", LandingPage: "/x"})
	plugin.Handle("echo", func(call *plugin.Call) (any, error) { return call.Args, nil })
	plugin.Handle("nothing", func(*plugin.Call) (any, error) { return nil, nil })
	plugin.Handle("fail", func(*plugin.Call) (any, error) { return nil, errors.New("boom") })
	plugin.Handle("panic", func(*plugin.Call) (any, error) { panic("oh") })
	plugin.Handle("query", query)
	plugin.Handle("unnamed", func(*plugin.Call) (any, error) { return nil, plugin.Host("declared", struct{}{}, nil) })
	plugin.Handle("about", func(call *plugin.Call) (any, error) {
		_, hasDeadline := call.Context().Deadline()
		return []any{call.Callers(), call.RequestID, call.Language, call.Traceparent, call.Tracestate, hasDeadline}, nil
	})
	plugin.Handle("wait", func(call *plugin.Call) (any, error) {
		call.Log.Info("waiting")
		<-call.Context().Done()
		return nil, plugin.Publish("", "ended", call.Context().Err().Error())
	})
	plugin.Handle("print", func(*plugin.Call) (any, error) {
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
		return nil, nil
	})
	plugin.Handle("exit", func(*plugin.Call) (any, error) { os.Exit(3); return nil, nil })
	Serve(
		OnInit(func(config map[string]string) error {
			if config["refuse"] != "" {
				return errors.New(config["refuse"])
			}
			return plugin.Cache.Set("plugin_dir", []byte(config["plugin_dir"]), 0)
		}),
		OnHealth(func() error { return errors.New("on holiday") }),
		OnShutdown(func() { plugin.Log.Warn("over") }),
	)
}

// query makes as many host calls at the same time as it is told to.
func query(call *plugin.Call) (any, error) {
	var args struct{ N int }
	if err := call.Bind(&args); err != nil {
		return nil, err
	}
	var group sync.WaitGroup
	failures := make(chan error, args.N)
	for range args.N {
		group.Go(func() {
			_, err := call.DB.Query("SELECT login FROM users")
			failures <- err
		})
	}
	group.Wait()
	close(failures)
	counts := map[string]int{}
	for err := range failures {
		counts[plugin.Code(err)]++
	}
	return counts, nil
}

// hostService answers host calls and keeps them.
type hostService struct {
	pluginv1.UnimplementedHostServer
	calls chan *pluginv1.HostCallRequest
}

func (h *hostService) Call(_ context.Context, request *pluginv1.HostCallRequest) (*pluginv1.HostCallResponse, error) {
	h.calls <- request
	if request.GetFunction() == "db_query" {
		failure := &pluginv1.Failure{Code: "policy.sql.table_denied", Message: "table users"}
		return &pluginv1.HostCallResponse{Failure: failure}, nil
	}
	return &pluginv1.HostCallResponse{Result: []byte(`{"ok":true}`)}, nil
}

// peer is the host's side of a running plugin.
type peer struct {
	pluginv1.PluginClient
	client *goplugin.Client
	host   *hostService
	stdout output
	stderr output
	hostID uint32
}

// clientService is go-plugin's view of the plugin on the host's side.
type clientService struct {
	goplugin.NetRPCUnsupportedPlugin
	peer *peer
}

func (clientService) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }

func (c clientService) GRPCClient(_ context.Context, broker *goplugin.GRPCBroker, connection *grpc.ClientConn) (any, error) {
	c.peer.hostID = broker.NextId()
	go broker.AcceptAndServe(c.peer.hostID, func(options []grpc.ServerOption) *grpc.Server {
		server := grpc.NewServer(options...)
		pluginv1.RegisterHostServer(server, c.peer.host)
		return server
	})
	return pluginv1.NewPluginClient(connection), nil
}

// output takes what the plugin writes, piece by piece.
type output chan string

func (o output) Write(data []byte) (int, error) {
	o <- string(data)
	return len(data), nil
}

// next waits for as much text as was expected.
func (o output) next(length int) (text string) {
	for len(text) < length {
		text += <-o
	}
	return text
}

// site is where scripts/plugins.sh puts what the Python SDK needs.
const site = "../../../target/python-site"

// builds start the same plugin, as a Go and as a Python program.
var builds = map[string]func() *exec.Cmd{
	"go":     func() *exec.Cmd { return exec.Command(os.Args[0]) },
	"python": func() *exec.Cmd { return exec.Command("python3", "../../plugin-python/tests/peer.py", site) },
}

// each runs a test with both.
func each(t *testing.T, test func(t *testing.T, build string)) {
	for build := range builds {
		t.Run(build, func(t *testing.T) {
			t.Parallel()
			test(t, build)
		})
	}
}

// start starts the plugin with go-plugin's own client, as far as Register.
func start(t *testing.T, build string, multiplex bool) *peer {
	t.Helper()
	command := builds[build]()
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	p := &peer{host: &hostService{calls: make(chan *pluginv1.HostCallRequest, 1000)}, stdout: make(output, 100), stderr: make(output, 100)}
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: handshake, Plugins: goplugin.PluginSet{pluginName: clientService{peer: p}}, Cmd: command,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC}, GRPCBrokerMultiplex: multiplex, SkipHostEnv: true,
		SyncStdout: p.stdout, SyncStderr: p.stderr, Stderr: p.stderr, Logger: hclog.NewNullLogger(),
	})
	t.Cleanup(p.client.Kill)
	protocol, err := p.client.Client()
	if err != nil {
		t.Fatal(err)
	}
	if err := protocol.Ping(); err != nil {
		t.Fatal(err)
	}
	service, err := protocol.Dispense(pluginName)
	if err != nil {
		t.Fatal(err)
	}
	p.PluginClient = service.(pluginv1.PluginClient)
	return p
}

// startReady starts the plugin and makes it ready.
func startReady(t *testing.T, build string) *peer {
	t.Helper()
	p := start(t, build, false)
	if _, err := p.Init(t.Context(), p.initRequest("plugin_dir", "/p")); err != nil {
		t.Fatal(err)
	}
	if call := <-p.host.calls; call.GetFunction() != "cache_set" || call.GetCallToken() != "" ||
		string(call.GetArguments()) != `{"key":"plugin_dir","value":"L3A=","ttl":0}` {
		t.Fatal(call)
	}
	return p
}

func (p *peer) initRequest(key, value string) *pluginv1.InitRequest {
	return &pluginv1.InitRequest{HostServiceId: p.hostID, Config: map[string]string{key: value}}
}

func (p *peer) call(t *testing.T, function, arguments string) string {
	t.Helper()
	answer, err := p.Call(t.Context(), &pluginv1.CallRequest{Function: function, Arguments: []byte(arguments), CallToken: "token-" + function})
	if err != nil || answer.GetFailure() != nil {
		t.Fatal(function, err, answer.GetFailure())
	}
	return string(answer.GetResult())
}

func TestRegistrationIsTheDocument(t *testing.T) {
	document := `{"name":"test","version":"1.0.0","landing_page":"/x"}`
	full := `{"name":"test","version":"1.0.0","description":"","author":"","license":"","homepage":"","landing_page":"/x"}`
	for _, row := range []struct {
		build     string
		multiplex bool
		want      string
	}{{"go", false, full}, {"go", true, full}, {"python", false, document}} {
		p := start(t, row.build, row.multiplex)
		answer, err := p.Register(t.Context(), &pluginv1.RegisterRequest{HostVersion: "1"})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(answer.GetRegistration()); got != row.want {
			t.Error(got)
		}
		if _, err := p.Init(t.Context(), p.initRequest("", "")); err != nil {
			t.Error(err)
		}
	}
}

func TestResultsAreThoseOfAModule(t *testing.T) {
	each(t, func(t *testing.T, build string) {
		p := startReady(t, build)
		large := `"` + strings.Repeat("x", 6<<20) + `"`
		for _, row := range []struct{ function, arguments, want string }{
			{"echo", ` {"a": 1}`, ` {"a": 1}`},
			{"echo", ``, ``},
			{"echo", large, large},
			{"nothing", `{}`, ``},
			{"fail", `{}`, `{"error":"boom"}`},
			{"unknown", `{}`, `{"error":"unknown function: unknown"}`},
			{"panic", ``, map[string]string{"go": `{"error":"panic: oh"}`, "python": `{"error":"ValueError: oh"}`}[build]},
		} {
			answer, err := p.Call(t.Context(), &pluginv1.CallRequest{Function: row.function, Arguments: []byte(row.arguments)},
				grpc.MaxCallRecvMsgSize(16<<20))
			if err != nil || string(answer.GetResult()) != row.want {
				t.Errorf("%s: %v, %.60s", row.function, err, answer.GetResult())
			}
		}
	})
}

func TestHostCallsNameTheirCall(t *testing.T) {
	each(t, func(t *testing.T, build string) {
		p := startReady(t, build)
		if got := p.call(t, "query", `{"n":50}`); got != `{"policy.sql.table_denied":50}` {
			t.Error(got)
		}
		for range 50 {
			call := <-p.host.calls
			if call.GetCallToken() != "token-query" || string(call.GetArguments()) != `{"query":"SELECT login FROM users","args":null}` {
				t.Fatal(call)
			}
		}
		p.call(t, "unnamed", "")
		if call := <-p.host.calls; call.GetCallToken() != "" || call.GetFunction() != "declared" {
			t.Error(call)
		}
	})
}

func TestCallsTellWhatTheyBelongTo(t *testing.T) {
	each(t, func(t *testing.T, build string) {
		p := startReady(t, build)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		answer, err := p.Call(ctx, &pluginv1.CallRequest{
			Function: "about", Callers: []string{"a", "b"}, RequestId: "r", Language: "de", Traceparent: "tp", Tracestate: "ts",
		})
		if err != nil || string(answer.GetResult()) != `[["a","b"],"r","de","tp","ts",true]` {
			t.Error(err, answer)
		}
		if got := p.call(t, "about", ""); got != `[null,"","","","",false]` {
			t.Error(got)
		}
	})
}

func TestACancelledCallEndsItsContext(t *testing.T) {
	each(t, func(t *testing.T, build string) {
		p := startReady(t, build)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := p.Call(ctx, &pluginv1.CallRequest{Function: "wait", CallToken: "w"})
			ended <- err
		}()
		call := <-p.host.calls
		if string(call.GetArguments()) != `{"level":"info","message":"waiting"}` || call.GetFunction() != "log" || call.GetCallToken() != "w" {
			t.Error(call)
		}
		cancel()
		if err := <-ended; status.Code(err) != codes.Canceled {
			t.Error(err)
		}
		var event struct{ Data string }
		if err := json.Unmarshal((<-p.host.calls).GetArguments(), &event); err != nil || event.Data != "context canceled" {
			t.Error(err, event)
		}
	})
}

func TestHooksRun(t *testing.T) {
	each(t, func(t *testing.T, build string) {
		p := startReady(t, build)
		if answer, err := p.Health(t.Context(), &pluginv1.HealthRequest{}); err != nil || answer.GetHealthy() || answer.GetReason() != "on holiday" {
			t.Error(answer, err)
		}
		if _, err := p.Init(t.Context(), p.initRequest("", "")); status.Code(err) != codes.FailedPrecondition {
			t.Error("a second Init:", err)
		}
		if _, err := p.Shutdown(t.Context(), &pluginv1.ShutdownRequest{}); err != nil {
			t.Error(err)
		}
		if call := <-p.host.calls; string(call.GetArguments()) != `{"level":"warn","message":"over"}` {
			t.Error(call)
		}

		p = start(t, build, false)
		if _, err := p.Init(t.Context(), p.initRequest("refuse", "no licence")); status.Convert(err).Message() != "no licence" {
			t.Error(err)
		}
	})
}

func TestOutputReachesTheHost(t *testing.T) {
	each(t, func(t *testing.T, build string) {
		p := startReady(t, build)
		p.call(t, "print", "")
		if stdout, stderr := p.stdout.next(10), p.stderr.next(10); stdout != "to stdout\n" || stderr != "to stderr\n" {
			t.Errorf("%q, %q", stdout, stderr)
		}
	})
}

func TestTheEndOfTheProcessEndsTheCall(t *testing.T) {
	each(t, func(t *testing.T, build string) {
		p := startReady(t, build)
		if _, err := p.Call(t.Context(), &pluginv1.CallRequest{Function: "exit"}); status.Code(err) != codes.Unavailable {
			t.Error(err)
		}
	})
}

func TestStartedByHandItSaysWhatItIs(t *testing.T) {
	for build, beginning := range map[string]string{"go": "This binary is a plugin.", "python": "This program is a GoatFlow plugin."} {
		command := builds[build]()
		command.Env = []string{"PATH=" + os.Getenv("PATH"), handshake.MagicCookieKey + "=other"}
		output, err := command.CombinedOutput()
		if err == nil || err.Error() != "exit status 1" || !strings.HasPrefix(string(output), beginning) {
			t.Errorf("%v: %s", err, output)
		}
	}
}
