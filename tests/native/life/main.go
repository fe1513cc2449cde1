// Command life is a plugin in the Go SDK whose life the tests end in every way.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	plugin "github.com/goatkit/goatflow-plugin/bindings/plugin-go"
	"github.com/goatkit/goatflow-plugin/bindings/plugin-go/native"
)

func main() {
	// The plugin dies so many microseconds after it began, wherever it is then.
	if after, err := strconv.Atoi(os.Getenv("DIE_AFTER_US")); err == nil {
		go func() {
			time.Sleep(time.Duration(after) * time.Microsecond)
			os.Exit(11)
		}()
	}
	plugin.Register(plugin.Registration{Name: "life", Version: "1.0.0"})
	plugin.Handle("echo", func(call *plugin.Call) (any, error) { return call.Args, nil })
	plugin.Handle("pid", func(*plugin.Call) (any, error) { return os.Getpid(), nil })
	plugin.Handle("sleep", func(call *plugin.Call) (any, error) {
		var args struct{ MS int }
		if err := call.Bind(&args); err != nil {
			return nil, err
		}
		fmt.Fprintln(os.Stderr, "asleep")
		time.Sleep(time.Duration(args.MS) * time.Millisecond)
		return args.MS, nil
	})
	plugin.Handle("exit", func(*plugin.Call) (any, error) {
		fmt.Fprintln(os.Stderr, "good bye")
		os.Exit(3)
		return nil, nil
	})
	plugin.Handle("secrets", secrets)
	var settings map[string]string
	plugin.Handle("work", func(*plugin.Call) (any, error) {
		return nil, os.WriteFile(filepath.Join(settings["work_dir"], "work"), []byte("done"), 0o600)
	})
	plugin.Handle("fill", func(*plugin.Call) (any, error) { return fill(os.TempDir()) })
	native.Serve(native.OnInit(func(config map[string]string) error {
		settings = config
		if os.Getenv("HANG_IN_INIT") != "" {
			select {}
		}
		return nil
	}))
}

// fill writes to a directory until that fails, and tells how.
func fill(directory string) (any, error) {
	file, err := os.Create(filepath.Join(directory, "fill"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	written := 0
	for err == nil {
		var bytes int
		bytes, err = file.Write(make([]byte, 4096))
		written += bytes
	}
	var errno syscall.Errno
	errors.As(err, &errno)
	return map[string]any{"bytes": written, "error": errno.Error()}, nil
}

// secrets collects every environment and command line that the plugin can read.
func secrets(*plugin.Call) (any, error) {
	found := os.Environ()
	for _, pattern := range []string{"/proc/*/environ", "/proc/*/cmdline", "/proc/*/task/*/environ"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil {
				found = append(found, strings.Split(string(text), "\x00")...)
			}
		}
	}
	return found, nil
}
