package goatflowplugin_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	goatflowplugin "github.com/goatkit/goatflow-plugin/bindings/go"
)

func report(b *testing.B, err error) {
	b.Helper()
	b.ReportAllocs()
	if err != nil {
		b.Fatal(err)
	}
}

// Echo of 64 bytes in each way to call.
func BenchmarkEcho64(b *testing.B) {
	manager := withProbes(b, "", "probe")
	function, err := manager.Function("probe", "echo")
	must(b, err)
	arguments := text(64)
	buffer := make([]byte, 0, 128)
	cancellable, cancel := context.WithTimeout(background, time.Hour)
	defer cancel()
	for _, way := range []struct {
		name string
		run  func() error
	}{
		{"Call", func() error { _, err := manager.Call(background, "probe", "echo", arguments); return err }},
		{"CallWithContext", func() error {
			_, err := manager.Call(cancellable, "probe", "echo", arguments)
			return err
		}},
		{"AppendCall", func() (err error) {
			buffer, err = manager.AppendCall(background, buffer[:0], "probe", "echo", arguments)
			return err
		}},
		{"FunctionAppendCall", func() (err error) {
			buffer, err = function.AppendCall(background, buffer[:0], arguments)
			return err
		}},
		{"CallAsync", func() error {
			operation, err := manager.CallAsync(background, "probe", "echo", arguments)
			if err != nil {
				return err
			}
			_, err = operation.Wait()
			return err
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			var err error
			for range b.N {
				if err = way.run(); err != nil {
					break
				}
			}
			report(b, err)
		})
	}
}

func BenchmarkEchoLarge(b *testing.B) {
	manager := withProbes(b, "", "probe")
	for _, size := range []int{4 << 10, 64 << 10} {
		arguments := text(size)
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			var err error
			for range b.N {
				if _, err = manager.Call(background, "probe", "echo", arguments); err != nil {
					break
				}
			}
			report(b, err)
		})
	}
}

func BenchmarkHostCall(b *testing.B) {
	manager := withProbes(b, orgPolicy, "probe")
	must(b, manager.Declare(goatflowplugin.Declaration{Name: "org_id", Permission: "org", Access: "read"},
		func(goatflowplugin.HostCall) ([]byte, error) { return []byte(`1`), nil }))
	var err error
	b.ResetTimer()
	for range b.N {
		if _, err = manager.Call(background, "probe", "host:org_id", []byte(`{}`)); err != nil {
			break
		}
	}
	report(b, err)
}

// Goroutines on plugins of their own.
func BenchmarkEcho64Parallel(b *testing.B) {
	names := []string{"a", "b", "c", "d"}
	manager := withProbes(b, "", names...)
	var next atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		name := names[int(next.Add(1))%len(names)]
		buffer := make([]byte, 0, 128)
		arguments := text(64)
		for pb.Next() {
			if _, err := manager.AppendCall(background, buffer, name, "echo", arguments); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
