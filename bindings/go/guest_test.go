package goatflowplugin_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// probe assembles a plugin whose functions do what their names say; the first letter decides:
//
//	echo       answers its arguments
//	nothing    answers nothing
//	spin       never ends
//	trap       executes unreachable
//	recurse    exhausts its stack
//	wild       answers a pointer outside its memory
//	log        logs its arguments
//	host:NAME  makes the host call NAME with its arguments; answers its result, or gk.last_error when it fails
//
// Anything else answers {"error":"unknown function"}. No toolchain is needed, and nothing else is in the way.
func probe(registration string) []byte {
	const (
		registrationAt = 16
		ringStart      = 64 << 10
		ringEnd        = ringStart + 4<<20
		pages          = 66
	)
	unknown := `{"error":"unknown function"}`
	unknownAt := registrationAt + len(registration)

	const (
		i32, i64                                 = 0x7f, 0x7e
		noResult                                 = 0x40
		hostCall, logLine, lastError             = 0, 1, 2
		register, call, malloc, free, recurse    = 3, 4, 5, 6, 7
		functionAt, functionLen, argsAt, argsLen = 0, 1, 2, 3
		letter, answer                           = 4, 5
		opUnreachable, opLoop, opIf, opEnd, opBr = 0x00, 0x03, 0x04, 0x0b, 0x0c
		opReturn, opCall, opDrop                 = 0x0f, 0x10, 0x1a
		opGet, opSet, opGlobalGet, opGlobalSet   = 0x20, 0x21, 0x23, 0x24
		opLoad8, opI32, opI64                    = 0x2d, 0x41, 0x42
		opEqz64, opEq32, opGt32                  = 0x50, 0x46, 0x4b
		opAdd32, opSub32, opAnd32, opShl, opOr64 = 0x6a, 0x6b, 0x71, 0x86, 0x84
		opExtend                                 = 0xad
	)
	type code = []byte
	join := func(parts ...code) code { return bytes.Join(parts, nil) }
	get := func(local byte) code { return code{opGet, local} }
	const32 := func(value int64) code { return append(code{opI32}, signed(value)...) }
	const64 := func(value int64) code { return append(code{opI64}, signed(value)...) }
	packed := func(at, length byte) code {
		return join(get(at), code{opExtend}, const64(32), code{opShl}, get(length), code{opExtend, opOr64})
	}
	static := func(at, length int) code { return const64(int64(at)<<32 | int64(length)) }
	when := func(first byte, then ...code) code {
		return join(get(letter), const32(int64(first)), code{opEq32, opIf, noResult}, join(then...), code{opEnd})
	}
	body := func(locals code, instructions ...code) code {
		all := join(append(append([]code{locals}, instructions...), code{opEnd})...)
		return join(unsigned(len(all)), all)
	}
	none := code{0}

	callBody := body(code{2, 1, i32, 1, i64},
		get(functionAt), code{opLoad8, 0, 0, opSet, letter},
		when('e', packed(argsAt, argsLen), code{opReturn}),
		when('n', const64(0), code{opReturn}),
		when('s', code{opLoop, noResult, opBr, 0, opEnd}),
		when('t', code{opUnreachable}),
		when('r', code{opCall, recurse}),
		when('w', static(0xfffffff0, 100), code{opReturn}),
		when('l', const32(1), get(argsAt), get(argsLen), code{opCall, logLine}, const64(0), code{opReturn}),
		when('h',
			get(functionAt), const32(5), code{opAdd32}, get(functionLen), const32(5), code{opSub32},
			get(argsAt), get(argsLen), code{opCall, hostCall, opSet, answer},
			get(answer), code{opEqz64, opIf, noResult, opCall, lastError, opSet, answer, opEnd},
			get(answer), code{opReturn}),
		static(unknownAt, len(unknown)),
	)
	// A ring: nothing a call needs is older than the ring is long.
	mallocBody := body(none,
		get(0), const32(ringEnd-ringStart), code{opGt32, opIf, noResult}, const32(0), code{opReturn, opEnd},
		get(0), const32(7), code{opAdd32}, const32(-8), code{opAnd32, opSet, 0},
		code{opGlobalGet, 0}, get(0), code{opAdd32}, const32(ringEnd), code{opGt32, opIf, noResult},
		const32(ringStart), code{opGlobalSet, 0, opEnd},
		code{opGlobalGet, 0}, code{opGlobalGet, 0}, get(0), code{opAdd32, opGlobalSet, 0},
	)

	name := func(s string) code { return join(unsigned(len(s)), code(s)) }
	imported := func(field string, index byte) code { return join(name("gk"), name(field), code{0, index}) }
	exported := func(field string, kind, index byte) code { return join(name(field), code{kind, index}) }
	section := func(id byte, count int, content ...code) code {
		all := join(append([]code{unsigned(count)}, content...)...)
		return join(code{id}, unsigned(len(all)), all)
	}
	text := registration + unknown
	return join(
		code("\x00asm\x01\x00\x00\x00"),
		section(1, 6,
			code{0x60, 0, 1, i64},
			code{0x60, 4, i32, i32, i32, i32, 1, i64},
			code{0x60, 1, i32, 1, i32},
			code{0x60, 1, i32, 0},
			code{0x60, 3, i32, i32, i32, 0},
			code{0x60, 0, 0},
		),
		section(2, 3, imported("host_call", 1), imported("log", 4), imported("last_error", 0)),
		section(3, 5, code{0, 1, 2, 3, 5}),
		section(5, 1, code{0}, unsigned(pages)),
		section(6, 1, code{i32, 1}, const32(ringStart), code{opEnd}),
		section(7, 5, exported("memory", 2, 0), exported("gk_register", 0, register), exported("gk_call", 0, call),
			exported("gk_malloc", 0, malloc), exported("gk_free", 0, free)),
		section(10, 5,
			body(none, static(registrationAt, len(registration))),
			callBody,
			mallocBody,
			body(none),
			body(none, code{opCall, recurse}),
		),
		section(11, 1, code{0}, const32(registrationAt), code{opEnd}, name(text)),
	)
}

func unsigned(value int) []byte {
	var out []byte
	for {
		low := byte(value & 0x7f)
		if value >>= 7; value == 0 {
			return append(out, low)
		}
		out = append(out, low|0x80)
	}
}

func signed(value int64) []byte {
	var out []byte
	for {
		low := byte(value & 0x7f)
		value >>= 7
		if value == 0 && low&0x40 == 0 || value == -1 && low&0x40 != 0 {
			return append(out, low)
		}
		out = append(out, low|0x80)
	}
}

// probeFile writes a probe called name.
func probeFile(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".wasm")
	module := probe(fmt.Sprintf(`{"name":%q,"version":"1.0.0"}`, name))
	if err := os.WriteFile(path, module, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
