"""Finding the library, its versions, its tables."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import goatflow_plugin as gp
from goatflow_plugin import _abi, codes
from goatflow_plugin._library import check, functions
from support import REPOSITORY, ROOT, environment, run_python

PRINT_PATH = "import goatflow_plugin as gp; print(gp.load_library().path)"


class SearchOrder(unittest.TestCase):
    def setUp(self) -> None:
        self.library = environment("GOATFLOW_PLUGIN_LIBRARY")

    def test_explicit_path_wins_over_the_environment(self) -> None:
        code = "import sys, goatflow_plugin as gp; print(gp.load_library(sys.argv[1]).path)"
        run = run_python(code, self.library, GOATFLOW_PLUGIN_LIBRARY="/nowhere/lib.so")
        self.assertEqual(run.stdout.strip(), str(Path(self.library).absolute()), run.stderr)

    def test_environment_variable_names_the_library(self) -> None:
        run = run_python(PRINT_PATH)
        self.assertEqual(run.stdout.strip(), str(Path(self.library).absolute()), run.stderr)

    def test_bundled_library_is_used_without_the_variable(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            shutil.copytree(ROOT / "goatflow_plugin", Path(directory, "goatflow_plugin"))
            bundled = Path(directory, "goatflow_plugin", "libgoatflow_plugin.so.1").resolve()
            shutil.copy(self.library, bundled)
            run = run_python(PRINT_PATH, GOATFLOW_PLUGIN_LIBRARY=None, PYTHONPATH=directory)
            self.assertEqual(run.stdout.strip(), str(bundled), run.stderr)

    def test_system_library_is_found_by_its_soname(self) -> None:
        folder = str(Path(self.library).resolve().parent)
        run = run_python(PRINT_PATH, GOATFLOW_PLUGIN_LIBRARY=None, LD_LIBRARY_PATH=folder)
        self.assertEqual(run.stdout.strip(), "libgoatflow_plugin.so.1", run.stderr)

    def test_a_named_library_that_is_missing_is_an_error_that_names_it(self) -> None:
        run = run_python(PRINT_PATH, GOATFLOW_PLUGIN_LIBRARY="/nowhere/lib.so")
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("LibraryNotFound", run.stderr)
        self.assertIn("GOATFLOW_PLUGIN_LIBRARY: /nowhere/lib.so", run.stderr)

    def test_a_library_without_our_functions_is_refused(self) -> None:
        run = run_python(PRINT_PATH, GOATFLOW_PLUGIN_LIBRARY="libc.so.6")
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("LibraryNotFound", run.stderr)

    def test_nothing_found_tells_the_way_out(self) -> None:
        run = run_python(PRINT_PATH, GOATFLOW_PLUGIN_LIBRARY=None, LD_LIBRARY_PATH=None)
        if run.returncode == 0:  # a library is installed on this machine
            self.assertEqual(run.stdout.strip(), "libgoatflow_plugin.so.1")
        else:
            self.assertIn("set GOATFLOW_PLUGIN_LIBRARY to its path", run.stderr)

    def test_importing_the_package_loads_nothing(self) -> None:
        run = run_python("import goatflow_plugin; print('ok')", GOATFLOW_PLUGIN_LIBRARY="/nowhere/lib.so")
        self.assertEqual(run.stdout.strip(), "ok", run.stderr)

    def test_a_second_library_is_refused(self) -> None:
        gp.load_library()
        with self.assertRaises(gp.LibraryNotFound):
            gp.load_library("/nowhere/lib.so")
        self.assertIs(gp.load_library(self.library), gp.load_library())


class Versions(unittest.TestCase):
    def test_abi_is_the_one_of_this_binding(self) -> None:
        self.assertEqual(gp.abi_version(), _abi.ABI_VERSION)

    def test_release_is_a_version(self) -> None:
        self.assertRegex(gp.library_version(), r"^\d+\.\d+\.\d+")

    def test_package_and_library_are_of_one_release(self) -> None:
        self.assertEqual(gp.__version__, gp.library_version())
        self.assertIn(f'version = "{gp.__version__}"', (ROOT / "pyproject.toml").read_text())

    def test_another_abi_is_refused(self) -> None:
        c = functions()
        error = ctypes.c_void_p()
        status = c.abi_check(_abi.ABI_VERSION + 1, ctypes.byref(error))
        with self.assertRaises(gp.ArgumentAbi):
            check(c, status, error)


class Tables(unittest.TestCase):
    def test_codes_are_those_of_the_library(self) -> None:
        script = ROOT / "scripts" / "generate_codes.py"
        run = subprocess.run([sys.executable, str(script), "--check"], stdout=subprocess.PIPE, text=True)
        self.assertEqual(run.returncode, 0, run.stdout)

    def test_every_row_has_a_status_an_exception_and_a_slug(self) -> None:
        c = functions()
        rows = [row for row in gp.status_table() if row["status"]]
        self.assertGreater(len(rows), 50)
        self.assertEqual({row["status"] for row in rows}, set(codes.ERRORS))
        for row in rows:
            kind = codes.ERRORS[row["status"]]
            self.assertEqual(kind.default_code, row["code"])
            self.assertEqual(kind.default_retryable, row["retryable"])
            self.assertEqual(codes.Status(row["status"]).name, row["constant"])
            self.assertEqual(c.status_slug(row["status"]).decode(), row["code"])

    def test_slugs_of_ok_and_of_unknown_numbers(self) -> None:
        c = functions()
        self.assertEqual(c.status_slug(0), b"ok")
        self.assertEqual(c.status_slug(-5), b"unknown")
        self.assertEqual(c.status_slug(12345), b"unknown")

    def test_documents_about_the_library(self) -> None:
        self.assertIsInstance(gp.doctor(), dict)
        for schema in (gp.config_schema(), gp.policy_schema()):
            self.assertIn("$schema", schema)
            self.assertIn("properties", schema)


class Header(unittest.TestCase):
    """The declarations in `_abi` are those of the header."""

    def setUp(self) -> None:
        text = (REPOSITORY / "include" / "goatflow_plugin.h").read_text()
        text = re.sub(r"/\*.*?\*/|//[^\n]*|^\s*#[^\n]*", "", text, flags=re.S | re.M)
        self.text = re.sub(r"\s+", " ", text)

    def test_every_function_is_declared_with_its_parameters(self) -> None:
        declared = {}
        pattern = r"([\w ]+?[ *]+)goatflow_plugin_(\w+)\s*\(([^()]*)\)\s*;"
        for result, name, parameters in re.findall(pattern, self.text):
            if "typedef" not in result:
                count = 0 if parameters.strip() in ("", "void") else parameters.count(",") + 1
                declared[name] = count
        self.assertGreater(len(declared), 40)
        ours = {name: len(parameters) for name, (_, parameters) in _abi.SIGNATURES.items()}
        self.assertEqual(ours, declared)

    def test_structs_have_the_fields_of_the_header(self) -> None:
        pairs = (
            ("buffer", _abi.Buffer),
            ("call_options", _abi.CallOptions),
            ("host_call", _abi.HostCall),
            ("completion", _abi.Completion),
        )
        for name, struct in pairs:
            match = re.search(rf"struct goatflow_plugin_{name} \{{(.*?)\}}", self.text)
            assert match is not None, name
            fields = re.findall(r"(\w+)\s*;", match.group(1))
            self.assertEqual([field[0] for field in struct._fields_], fields, name)

    def test_struct_sizes_are_those_of_the_compiler(self) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        assert compiler is not None, "the tests need a C compiler"
        names = ("buffer", "call_options", "host_call", "completion")
        prints = " ".join(f'printf("%zu ", sizeof(struct goatflow_plugin_{name}));' for name in names)
        source = f'#include <stdio.h>\n#include "goatflow_plugin.h"\nint main(void) {{ {prints} return 0; }}\n'
        with tempfile.TemporaryDirectory() as directory:
            program = str(Path(directory, "sizes"))
            include = f"-I{REPOSITORY / 'include'}"
            subprocess.run([compiler, include, "-x", "c", "-", "-o", program], input=source, text=True, check=True)
            printed = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout
        structs = (_abi.Buffer, _abi.CallOptions, _abi.HostCall, _abi.Completion)
        self.assertEqual([ctypes.sizeof(struct) for struct in structs], [int(size) for size in printed.split()])
