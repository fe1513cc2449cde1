// Command goplugin calls the same plugins with go-plugin's own client, which jails nothing.
//
//	goplugin PROTOCOL CALLS PROGRAM [ARGUMENT…]     prints one line of JSON
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"net/rpc"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/goatkit/goatflow-plugin/bindings/plugin-go/native/pluginv1"
)

// echo calls the plugin's function of that name.
type echo func(arguments []byte) ([]byte, error)

type grpcPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (grpcPlugin) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return errors.New("a host") }

func (grpcPlugin) GRPCClient(ctx context.Context, _ *goplugin.GRPCBroker, connection *grpc.ClientConn) (any, error) {
	client := pluginv1.NewPluginClient(connection)
	if _, err := client.Register(ctx, &pluginv1.RegisterRequest{}); err != nil {
		return nil, err
	}
	return echo(func(arguments []byte) ([]byte, error) {
		answer, err := client.Call(context.Background(), &pluginv1.CallRequest{Function: "echo", Arguments: arguments})
		return answer.GetResult(), err
	}), nil
}

type callRequest struct {
	Function string
	Args     json.RawMessage
}

type callResponse struct {
	Result json.RawMessage
	Error  string
}

type netrpcPlugin struct{}

func (netrpcPlugin) Server(*goplugin.MuxBroker) (any, error) { return nil, errors.New("a host") }

func (netrpcPlugin) Client(_ *goplugin.MuxBroker, client *rpc.Client) (any, error) {
	var registration []byte
	if err := client.Call("Plugin.GKRegister", new(any), &registration); err != nil {
		return nil, err
	}
	return echo(func(arguments []byte) ([]byte, error) {
		var answer callResponse
		err := client.Call("Plugin.Call", callRequest{Function: "echo", Args: arguments}, &answer)
		return answer.Result, err
	}), nil
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// cpuTime is the processor time of all threads of this process.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func perCall(call echo, size, inFlight, calls int) float64 {
	arguments := []byte(`"` + strings.Repeat("x", size-2) + `"`)
	var group sync.WaitGroup
	begin := time.Now()
	for range inFlight {
		group.Go(func() {
			for range calls / inFlight {
				answer, err := call(arguments)
				must(err)
				if len(answer) != size {
					log.Fatalf("%d bytes", len(answer))
				}
			}
		})
	}
	group.Wait()
	return float64(time.Since(begin).Microseconds()) / float64(calls/inFlight*inFlight)
}

func main() {
	protocol := goplugin.Protocol(os.Args[1])
	calls, err := strconv.Atoi(os.Args[2])
	must(err)
	begin, cpu := time.Now(), cpuTime()
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion: 1, MagicCookieKey: "GOATKIT_PLUGIN", MagicCookieValue: "goatkit-v1",
		},
		Plugins: goplugin.PluginSet{"gkplugin": map[goplugin.Protocol]goplugin.Plugin{
			goplugin.ProtocolGRPC: grpcPlugin{}, goplugin.ProtocolNetRPC: netrpcPlugin{},
		}[protocol]},
		Cmd:              exec.Command(os.Args[3], os.Args[4:]...),
		AllowedProtocols: []goplugin.Protocol{protocol},
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr}),
		GRPCDialOptions:  []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32))},
	})
	defer client.Kill()
	connection, err := client.Client()
	must(err)
	dispensed, err := connection.Dispense("gkplugin")
	must(err)
	call := dispensed.(echo)
	perCall(call, 64, 1, 1)
	started, startCPU := time.Since(begin), cpuTime()-cpu
	perCall(call, 64, 1, max(calls/10, 1))
	cpu = cpuTime()
	sequential := perCall(call, 64, 1, calls)
	document, err := json.Marshal(map[string]float64{
		"64 B, host's CPU": float64((cpuTime() - cpu).Microseconds()) / float64(calls),
		"start_cpu_ms":     float64(startCPU.Microseconds()) / 1000,
		"64 B":             sequential, "64 KiB": perCall(call, 65536, 1, max(calls/4, 1)),
		"64 B, 16 in flight": perCall(call, 64, 16, max(calls, 16)), "64 B, 64 in flight": perCall(call, 64, 64, max(calls, 64)),
		"start_ms": float64(started.Microseconds()) / 1000,
	})
	must(err)
	fmt.Println(string(document))
}
