package native

// Option is something that the program does beside serving calls. In a WebAssembly module options have no effect.
type Option func(*server)

// OnInit makes the program ready: it runs once, before the first call, and the host can be called from it. config holds
// what the host's configuration says for this plugin, and "host_version", "plugin_name", "plugin_dir", "work_dir". An
// error refuses to start.
func OnInit(run func(config map[string]string) error) Option {
	return func(s *server) { s.onInit = run }
}

// OnHealth answers the host's question whether calls can be served; an error says why not.
func OnHealth(probe func() error) Option {
	return func(s *server) { s.onHealth = probe }
}

// OnShutdown runs once after the last call, shortly before the process is ended.
func OnShutdown(run func()) Option {
	return func(s *server) { s.onShutdown = run }
}
