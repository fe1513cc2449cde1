package goatflowplugin

// LiveHandles is the number of callbacks and contexts that the library still holds.
func LiveHandles() int64 { return liveHandles.Load() }
