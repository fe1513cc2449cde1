//go:build ignore

// Archives of the current directory as Go's archive/zip writes them. usage: make_fixtures.go OUTDIR
package main

import (
	"archive/zip"
	"io/fs"
	"log"
	"os"
	"path/filepath"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func make(name string, add func(*zip.Writer)) {
	file, err := os.Create(filepath.Join(os.Args[1], name))
	check(err)
	writer := zip.NewWriter(file)
	add(writer)
	check(writer.Close())
	check(file.Close())
}

func each(add func(path string, info fs.FileInfo)) {
	check(filepath.Walk(".", func(path string, info fs.FileInfo, err error) error {
		if err == nil && path != "." {
			add(path, info)
		}
		return err
	}))
}

func main() {
	make("go-create.zip", func(writer *zip.Writer) {
		each(func(path string, info fs.FileInfo) {
			if info.IsDir() {
				_, err := writer.Create(path + "/")
				check(err)
				return
			}
			entry, err := writer.Create(path)
			check(err)
			content, err := os.ReadFile(path)
			check(err)
			_, err = entry.Write(content)
			check(err)
		})
	})
	for name, method := range map[string]uint16{"go-header.zip": zip.Deflate, "go-header-stored.zip": zip.Store} {
		make(name, func(writer *zip.Writer) {
			each(func(path string, info fs.FileInfo) {
				header, err := zip.FileInfoHeader(info)
				check(err)
				header.Name, header.Method = path, method
				if info.IsDir() {
					header.Name += "/"
				}
				entry, err := writer.CreateHeader(header)
				check(err)
				if !info.IsDir() {
					content, err := os.ReadFile(path)
					check(err)
					_, err = entry.Write(content)
					check(err)
				}
			})
		})
	}
	make("go-addfs.zip", func(writer *zip.Writer) { check(writer.AddFS(os.DirFS("."))) })
}
