//go:build !wasip1

package native

import (
	"context"
	"math"
	"os"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/goatkit/goatflow-plugin/bindings/plugin-go/native/pluginv1"
)

// What host and plugin have to agree on before they talk.
var handshake = goplugin.HandshakeConfig{
	ProtocolVersion:  1,
	MagicCookieKey:   "GOATKIT_PLUGIN",
	MagicCookieValue: "goatkit-v1",
}

// pluginName is the name that hosts ask go-plugin for; every GoatFlow plugin has this one.
const pluginName = "gkplugin"

// Serve answers the host's calls until the host ends the program; it does not return. Started by hand, the program says
// what it is and ends.
func Serve(options ...Option) {
	goplugin.Serve(serveConfig(options))
}

func serveConfig(options []Option) *goplugin.ServeConfig {
	s := &server{}
	for _, option := range options {
		option(s)
	}
	return &goplugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         goplugin.PluginSet{pluginName: service{server: s}},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			// The host bounds what it sends; gRPC's own limit of 4 MiB would come before the policy's.
			return grpc.NewServer(append(options, grpc.MaxRecvMsgSize(math.MaxInt32))...)
		},
		// Below warnings go-plugin talks about itself, into the plugin's log.
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	}
}

// service hangs the server into go-plugin's.
type service struct {
	goplugin.NetRPCUnsupportedPlugin
	server *server
}

func (s service) GRPCServer(broker *goplugin.GRPCBroker, server *grpc.Server) error {
	s.server.broker = broker
	pluginv1.RegisterPluginServer(server, s.server)
	return nil
}

func (service) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, connection *grpc.ClientConn) (any, error) {
	return pluginv1.NewPluginClient(connection), nil
}
