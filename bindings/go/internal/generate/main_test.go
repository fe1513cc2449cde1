package main

import (
	"os"
	"testing"
)

func TestGeneratedFileIsCurrent(t *testing.T) {
	rows, err := statusTable("")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Source(rows)
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../../errors_generated.go")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(want) {
		t.Fatal("the library's status table changed: run `go generate` in bindings/go")
	}
}
