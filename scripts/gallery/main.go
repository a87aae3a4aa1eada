// Gallery shows every hosted page in its states, with made-up data: no server,
// no database. It prints its address and serves until it is ended.
//
// usage: go run ./scripts/gallery [-addr 127.0.0.1:0]
//
// GET / links to the pages, GET /pages.json names them, GET /NAME is a page with
// the headers and the policy that the server gives it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/berthdev/berth/web"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "where to listen; port 0 takes a free one")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "gallery: %v\n", err)
		os.Exit(1)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := &http.Server{Handler: handler(web.Gallery()), ReadHeaderTimeout: 10 * time.Second}
	if err := server.Serve(listener); err != nil {
		fmt.Fprintf(os.Stderr, "gallery: %v\n", err)
		os.Exit(1)
	}
}

var index = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en"><meta name="viewport" content="width=device-width"><title>Gallery</title><h1>Gallery</h1>
<ul>{{range .}}<li><a href="/{{.}}">{{.}}</a></li>
{{end}}</ul></html>
`))

// handler serves the samples, each below its name.
func handler(samples []web.Sample) http.Handler {
	mux := http.NewServeMux()
	names := make([]string, len(samples))
	for i, sample := range samples {
		names[i] = sample.Name
		mux.HandleFunc("GET /"+sample.Name, func(w http.ResponseWriter, _ *http.Request) {
			if err := web.Write(w, http.StatusOK, sample.Page); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	mux.Handle("GET "+web.AssetsPath, web.Assets())
	mux.HandleFunc("GET /pages.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(names) // the client is gone; there is nobody to tell
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = index.Execute(w, names) // as above
	})
	return mux
}
