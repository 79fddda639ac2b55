package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
)

// The Go contestant of bench/http2.py: HTTP/2 in cleartext, by prior knowledge.
func init() {
	reg["h2c_server"] = func() {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		hello := []byte("Hello, World!")
		srv := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Write(hello)
		})}
		srv.Protocols.SetUnencryptedHTTP2(true)
		fmt.Println("ready", ln.Addr())
		log.Fatal(srv.Serve(ln))
	}
}
