// Go's net/http client against an HTTP/1.1 server: go_h1 URL. tests/e2e/clients.py builds and runs it.
package main

import (
	"bytes"
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
	check(r.ProtoMajor == 1 && r.StatusCode == 200, "answered %s by %s", r.Status, r.Proto)
	return string(b)
}

func main() {
	url := os.Args[1]
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 50}, Timeout: time.Minute}
	var wg sync.WaitGroup
	for i := 0; i < 50; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for k := 0; k < 20; k++ {
				check(body(c.Get(url+"/hello")) == "hello\n", "hello")
			}
		}()
	}
	wg.Wait()
	check(len(body(c.Get(url+"/big/3000000"))) == 3000000, "big")

	data := bytes.Repeat([]byte("0123456789"), 100000)
	check(body(c.Post(url+"/echo", "x/y", bytes.NewReader(data))) == string(data), "echo of a known length")
	check(body(c.Post(url+"/echo", "x/y", io.MultiReader(bytes.NewReader(data)))) == string(data), "echo in chunks")
	rq, _ := http.NewRequest("POST", url+"/echo", strings.NewReader("expected"))
	rq.Header.Set("Expect", "100-continue")
	check(body(c.Do(rq)) == "expected", "100-continue")
	rq, _ = http.NewRequest("POST", url+"/trailer", io.MultiReader(strings.NewReader("abc")))
	rq.Trailer = http.Header{"X-Sum": {"6"}}
	check(body(c.Do(rq)) == "6", "trailers of a request")
	r, err := c.Head(url + "/hello")
	check(err == nil && r.ContentLength == 6, "head")
	r, err = c.Get(url + "/none")
	check(err == nil && r.StatusCode == 404, "404")
	r.Body.Close()
}
