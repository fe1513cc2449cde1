// Package goatflowplugin embeds goatflow-plugin: it loads plugins the application does not trust, calls them, and lets
// them reach the application only through a policy.
//
//	library, err := goatflowplugin.Open("")            // find libgoatflow_plugin.so.1
//	manager, err := library.NewManager(map[string]any{"version": 1})
//	defer manager.Close()
//	name, err := manager.Load("plugins/stats", nil)
//	result, err := manager.Call(ctx, name, "overview", []byte(`{}`))
//
// The binding is thin: documents go to the library as they are, decisions are the library's.
//
// # Finding the library
//
// [Open] takes the first of these that applies, and fails if that one can't be used:
//
//  1. the path given to it;
//  2. the environment variable GOATFLOW_PLUGIN_LIBRARY;
//  3. bundled: [LibraryName] next to the executable, then in [LibraryDirectory], which is set at build time;
//  4. the system: the dynamic linker's search for [LibraryName].
//
// # Three ways to call
//
// [Manager.Call] is the fast path: one cgo call, made by the calling goroutine, which occupies an operating system
// thread until the plugin has answered. That is right for calls of microseconds. Go gives every goroutine that blocks in
// C its own thread, keeps the threads, and aborts the process at 10,000 of them.
//
// [Manager.AppendCall] and [Function.AppendCall] are the same without an allocation for the result.
//
// [Manager.CallAsync] is for everything that may be slow: the library's own, bounded workers run the call and the
// goroutine that waits for it is parked on Go's network poller. Thousands of slow calls cost no thread at all.
//
// # Contexts
//
// A context's deadline becomes the call's deadline (the plugin's policy may shorten it), its cancellation cancels the
// call inside the plugin. A context without either costs nothing. [WithRequestID] and [WithLanguage] travel in it, and
// host callbacks get it back from [HostCall.Context].
//
// # Errors
//
// Every failure of the library is an [*Error]. There is one constant per status, for errors.Is:
//
//	if errors.Is(err, goatflowplugin.ErrPolicySQLTableDenied) { … }
//
// A call that ended because its context did also matches context.Canceled or context.DeadlineExceeded.
//
// # Threads
//
// Everything may be used from any goroutine, and from inside callbacks. Nothing is tied to an operating system thread.
// Callbacks run on the goroutine that made the call or on a thread of the library. They must not call runtime.Goexit,
// which includes testing's FailNow: it would unwind the library's frames. A panic in a callback becomes an error.
//
// The process must not be forked without exec, which Go programs don't do.
package goatflowplugin
