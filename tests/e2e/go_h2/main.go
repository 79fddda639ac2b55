// Go's net/http client against an HTTP/2 server: go_h2 URL [CAFILE]. tests/e2e/h2.py builds and runs it.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func check(ok bool, what string, args ...any) {
	if !ok {
		fmt.Printf("go client: "+what+"\n", args...)
		os.Exit(1)
	}
}

func body(r *http.Response, err error) string {
	check(err == nil, "%v", err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	check(err == nil, "body: %v", err)
	check(r.ProtoMajor == 2, "answered by %s", r.Proto)
	return string(b)
}

func main() {
	url := os.Args[1]
	t := &http.Transport{Protocols: new(http.Protocols), ForceAttemptHTTP2: true}
	if len(os.Args) > 2 {
		pem, err := os.ReadFile(os.Args[2])
		check(err == nil, "%v", err)
		pool := x509.NewCertPool()
		check(pool.AppendCertsFromPEM(pem), "no certificate")
		t.TLSClientConfig = &tls.Config{RootCAs: pool}
		t.Protocols.SetHTTP2(true)
	} else {
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	c := &http.Client{Transport: t, Timeout: time.Minute}
	check(body(c.Get(url+"/version")) == "20\n", "version")

	var wg sync.WaitGroup
	for i := 0; i < 100; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			check(body(c.Get(url+"/hello")) == "hello\n", "hello")
		}()
	}
	wg.Wait()
	check(len(body(c.Get(url+"/big/3000000"))) == 3000000, "big")

	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	check(body(c.Post(url+"/echo", "text/plain", bytes.NewReader(sent))) == string(sent), "echo with a length")
	check(body(c.Post(url+"/echo", "text/plain", io.MultiReader(bytes.NewReader(sent)))) == string(sent), "echo without")

	r, err := c.Get(url + "/trailers")
	check(body(r, err) == "body\n" && r.Trailer.Get("X-Sum") == "42", "trailers: %v", r.Trailer)

	// A request that is given up half-way; the connection goes on.
	ctx, cancel := context.WithCancel(context.Background())
	pr, pw := io.Pipe()
	rq, _ := http.NewRequestWithContext(ctx, "POST", url+"/echo", pr)
	go func() {
		pw.Write([]byte(strings.Repeat("x", 100000)))
		cancel()
		pw.CloseWithError(context.Canceled) // once the answer's head is here the transport waits for the body only
	}()
	r, err = c.Do(rq)
	if err == nil {
		_, err = io.ReadAll(r.Body)
	}
	check(err != nil, "a cancelled request has ended well")
	check(body(c.Get(url+"/hello")) == "hello\n", "hello after a cancel")
	fmt.Println("go client: fine")
}
