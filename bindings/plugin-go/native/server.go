//go:build !wasip1

package native

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sync/atomic"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/goatkit/goatflow-plugin/bindings/plugin-go/internal/bridge"
	"github.com/goatkit/goatflow-plugin/bindings/plugin-go/native/pluginv1"
)

// server answers what the host asks of a plugin.
type server struct {
	pluginv1.UnimplementedPluginServer
	onInit     func(config map[string]string) error
	onHealth   func() error
	onShutdown func()
	broker     *goplugin.GRPCBroker
	isInit     atomic.Bool
}

// standardError is what the process began with: go-plugin puts a pipe of its own in its place, whose last words are lost when
// the process ends.
var standardError = os.Stderr

// Register says who the plugin is.
func (s *server) Register(context.Context, *pluginv1.RegisterRequest) (*pluginv1.RegisterResponse, error) {
	os.Stderr = standardError
	document, err := bridge.Register()
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return &pluginv1.RegisterResponse{Registration: document}, nil
}

// Init connects to the host and makes the plugin ready.
func (s *server) Init(_ context.Context, request *pluginv1.InitRequest) (*pluginv1.InitResponse, error) {
	if s.isInit.Swap(true) {
		return nil, status.Error(codes.FailedPrecondition, "the plugin is initialised already")
	}
	// Nothing is gained by closing an idle Unix socket.
	connection, err := s.broker.DialWithOptions(request.GetHostServiceId(), grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "can't connect to the host's service: %v", err)
	}
	h := hostClient{pluginv1.NewHostClient(connection)}
	bridge.Served.Store(&bridge.Host{Call: h.call, Log: h.log})
	if s.onInit != nil {
		if err := s.onInit(request.GetConfig()); err != nil {
			return nil, status.Error(codes.FailedPrecondition, err.Error())
		}
	}
	return &pluginv1.InitResponse{}, nil
}

// Call runs one handler.
func (s *server) Call(ctx context.Context, request *pluginv1.CallRequest) (*pluginv1.CallResponse, error) {
	result := bridge.Dispatch(context.WithValue(ctx, tokenKey{}, request.GetCallToken()), bridge.Call{
		Function:    request.GetFunction(),
		Arguments:   request.GetArguments(),
		Traceparent: request.GetTraceparent(),
		Tracestate:  request.GetTracestate(),
		RequestID:   request.GetRequestId(),
		Language:    request.GetLanguage(),
		Callers:     request.GetCallers(),
	})
	return &pluginv1.CallResponse{Result: result}, nil
}

// Health answers whether calls can be served.
func (s *server) Health(context.Context, *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	if s.onHealth != nil {
		if err := s.onHealth(); err != nil {
			return &pluginv1.HealthResponse{Reason: err.Error()}, nil
		}
	}
	return &pluginv1.HealthResponse{Healthy: true}, nil
}

// Shutdown ends the plugin's work.
func (s *server) Shutdown(context.Context, *pluginv1.ShutdownRequest) (*pluginv1.ShutdownResponse, error) {
	if s.onShutdown != nil {
		s.onShutdown()
	}
	return &pluginv1.ShutdownResponse{}, nil
}

// tokenKey is where a context carries the name of the call that it belongs to.
type tokenKey struct{}

// hostClient makes host calls.
type hostClient struct{ host pluginv1.HostClient }

func (h hostClient) call(ctx context.Context, function string, arguments []byte) ([]byte, *bridge.Failure) {
	token, _ := ctx.Value(tokenKey{}).(string)
	answer, err := h.host.Call(ctx, &pluginv1.HostCallRequest{Function: function, Arguments: arguments, CallToken: token})
	if err != nil {
		return nil, transportFailure(err)
	}
	if failure := answer.GetFailure(); failure != nil {
		return nil, &bridge.Failure{Code: failure.GetCode(), Message: failure.GetMessage()}
	}
	return answer.GetResult(), nil
}

// transportFailure is the failure of a host call that got no answer, with the codes that the host uses for the same.
func transportFailure(err error) *bridge.Failure {
	failure := &bridge.Failure{Message: status.Convert(err).Message()}
	switch status.Code(err) {
	case codes.DeadlineExceeded:
		failure.Code = "plugin.deadline"
	case codes.Canceled:
		failure.Code = "plugin.cancelled"
	}
	return failure
}

var levels = [...]string{"debug", "info", "warn", "error"}

// log writes a line through the host; a line that the host does not take is not lost.
func (h hostClient) log(ctx context.Context, level int32, message string) {
	if failure := h.writeLog(ctx, levels[level&3], message); failure != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", levels[level&3], message)
	}
}

func (h hostClient) writeLog(ctx context.Context, level, message string) *bridge.Failure {
	arguments, err := json.Marshal(map[string]string{"level": level, "message": message})
	if err != nil {
		return &bridge.Failure{Message: err.Error()}
	}
	_, failure := h.call(ctx, "log", arguments)
	return failure
}
