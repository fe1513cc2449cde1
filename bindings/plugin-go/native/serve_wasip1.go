package native

type server struct {
	onInit     func(config map[string]string) error
	onHealth   func() error
	onShutdown func()
}

// Serve does nothing in a WebAssembly module: the host calls the module's exports.
func Serve(...Option) {}
