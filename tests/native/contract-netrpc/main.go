// Command contract-netrpc is contract-go once more, written as GoatFlow's own plugins are: against GoatFlow's module, over
// go-plugin's net/rpc.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goatkit/goatflow/pkg/plugin"
	"github.com/goatkit/goatflow/pkg/plugin/grpcutil"
)

func main() { grpcutil.ServePlugin(&suite{}) }

type suite struct {
	host  plugin.HostAPI
	count atomic.Int32
}

func (s *suite) GKRegister() (*plugin.GKRegistration, error) { return &registration, nil }

func (s *suite) Init(map[string]string) error { return errors.New("started without a host") }

func (s *suite) InitWithHost(_ map[string]string, host plugin.HostAPI) error {
	s.host = host
	return nil
}

func (s *suite) Shutdown() error { return nil }

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

func (s *suite) Call(function string, document json.RawMessage) (json.RawMessage, error) {
	if function == "echo" {
		return document, nil
	}
	var args arguments
	if len(document) > 0 {
		if err := json.Unmarshal(document, &args); err != nil {
			return nil, err
		}
	}
	result, err := s.run(function, args)
	if err != nil || result == nil {
		return nil, err
	}
	return json.Marshal(result)
}

func (s *suite) run(function string, args arguments) (any, error) {
	ctx := context.Background()
	switch function {
	case "nothing":
		return nil, nil
	case "big":
		return strings.Repeat("x", args.Bytes), nil
	case "fail":
		return nil, errors.New("boom")
	case "crash":
		os.Exit(3)
	case "spin":
		for end := time.Now().Add(time.Duration(args.MS) * time.Millisecond); time.Now().Before(end); {
		}
		return map[string]bool{"done": true}, nil
	case "sleep":
		time.Sleep(time.Duration(args.MS) * time.Millisecond)
		return map[string]bool{"done": true}, nil
	case "host":
		return s.call(ctx, args.Function, args.Arguments), nil
	case "hosts":
		return s.hosts(ctx, args.N), nil
	case "env":
		variables := map[string]string{}
		for _, variable := range os.Environ() {
			name, value, _ := strings.Cut(variable, "=")
			variables[name] = value
		}
		return variables, nil
	case "log":
		s.host.Log(ctx, args.Level, args.Message, nil)
		return nil, nil
	case "stdout":
		fmt.Println(args.Text)
		return nil, nil
	case "stderr":
		fmt.Fprintln(os.Stderr, args.Text)
		return nil, nil
	case "callers": // GoatFlow's requests don't say
		return map[string][]string{"callers": {}}, nil
	case "deadline": // nor this
		return map[string]bool{"limited": false}, nil
	case "state":
		return map[string]int32{"count": s.count.Add(1)}, nil
	}
	return nil, fmt.Errorf("unknown function: %s", function)
}

func (s *suite) hosts(ctx context.Context, n int) any {
	var group sync.WaitGroup
	var answered atomic.Int32
	for number := range n {
		group.Go(func() {
			if s.host.CacheSet(ctx, fmt.Sprint(number), []byte("x"), 0) == nil {
				answered.Add(1)
			}
		})
	}
	group.Wait()
	return map[string]int32{"answered": answered.Load()}
}

// answer is what a host call gave.
type answer struct {
	OK     bool   `json:"ok"`
	Result any    `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
}

// call makes the host calls that GoatFlow's module has methods for.
func (s *suite) call(ctx context.Context, function string, document json.RawMessage) answer {
	var args struct {
		Query, Key, Plugin, Function string
		Value                        []byte
		TTL                          int
		Args                         json.RawMessage
	}
	if err := json.Unmarshal(document, &args); err != nil {
		return answer{Error: err.Error()}
	}
	var result any
	var err error
	switch function {
	case "db_query":
		var values []any
		_ = json.Unmarshal(args.Args, &values)
		result, err = s.host.DBQuery(ctx, args.Query, values...)
	case "cache_get":
		var value []byte
		var found bool
		value, found, err = s.host.CacheGet(ctx, args.Key)
		result = map[string]any{"value": value, "found": found}
	case "cache_set":
		err = s.host.CacheSet(ctx, args.Key, args.Value, args.TTL)
		result = map[string]bool{"ok": true}
	case "plugin_call":
		result, err = s.host.CallPlugin(ctx, args.Plugin, args.Function, args.Args)
	default:
		err = fmt.Errorf("GoatFlow's module has no method for %s", function)
	}
	if err != nil {
		return answer{Error: strings.TrimPrefix(err.Error(), "host: ")}
	}
	return answer{OK: true, Result: result}
}
