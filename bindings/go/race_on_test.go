//go:build race

package goatflowplugin_test

// raceEnabled: sync.Pool drops objects on purpose under the race detector, so allocations are not counted.
const raceEnabled = true
