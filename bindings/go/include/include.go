// Package include holds a copy of the library's C header, so that the binding also builds from a module download or a
// vendor directory, where the library's repository is not at hand. A test keeps it equal to include/goatflow_plugin.h.
package include
