module github.com/goatkit/goatflow-plugin/examples-go/host

go 1.24

require github.com/goatkit/goatflow-plugin/bindings/go v0.0.0

replace github.com/goatkit/goatflow-plugin/bindings/go => ../../bindings/go
