#!/bin/sh
# Writes pluginv1 from proto/ anew. The compiler comes from PyPI, its Go parts from the module proxy, all pinned;
# nothing of it is installed into the system. Needs Python 3 and Go.
set -eu
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
tools=${CARGO_TARGET_DIR:-$root/target}/protoc
mkdir -p "$tools"
[ -d "$tools/python/grpc_tools" ] || python3 -m pip install -q --target "$tools/python" grpcio-tools==1.85.1
GOBIN=$tools go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
GOBIN=$tools go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
package=github.com/goatkit/goatflow-plugin/bindings/plugin-go/native
PATH="$tools:$PATH" PYTHONPATH="$tools/python" python3 -m grpc_tools.protoc -I "$root/proto" \
  --go_out=. --go_opt="module=$package" --go-grpc_out=. --go-grpc_opt="module=$package" goatflow/plugin/v1/plugin.proto
