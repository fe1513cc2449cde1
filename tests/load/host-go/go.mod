module github.com/goatkit/goatflow-plugin/tests/load/host-go

go 1.25

require github.com/goatkit/goatflow-plugin/bindings/go v0.0.0

replace github.com/goatkit/goatflow-plugin/bindings/go => ../../../bindings/go
