//go:build !race

package goatflowplugin_test

const raceEnabled = false
