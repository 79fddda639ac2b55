package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

func anonBytes() float64 {
	b, _ := os.ReadFile("/proc/self/status")
	for _, l := range strings.Split(string(b), "\n") {
		var kib float64
		if n, _ := fmt.Sscanf(l, "RssAnon: %f kB", &kib); n == 1 {
			return kib * 1024
		}
	}
	return 0
}

// The Go contestant of bench/fetch.py. -g goroutines, -addr, -dur; a path of "slow" asks for memory, "each" for a
// connection per fetch, "h2" for one connection of HTTP/2 that all share (bench/http2.py).
func init() {
	reg["http_fetch"] = func() {
		g := *fG
		mode := os.Getenv("FETCH_MODE")
		tr := &http.Transport{MaxIdleConns: 0, MaxIdleConnsPerHost: g, DisableCompression: true, DisableKeepAlives: mode == "each"}
		if mode == "h2" {
			tr.Protocols = new(http.Protocols)
			tr.Protocols.SetUnencryptedHTTP2(true)
		}
		cl := &http.Client{Transport: tr}
		url := "http://" + *fAddr + "/"
		if mode == "wait" {
			url += "slow"
		}
		var total, errs atomic.Int64
		m0 := anonBytes()
		for i := 0; i < g; i++ {
			go func() {
				buf := make([]byte, 32768)
				for {
					resp, err := cl.Get(url)
					if err != nil {
						errs.Add(1)
						continue
					}
					for {
						if _, err = resp.Body.Read(buf); err != nil {
							break
						}
					}
					resp.Body.Close()
					if err != io.EOF {
						errs.Add(1)
						continue
					}
					total.Add(1)
				}
			}()
			if i%32 == 31 {
				time.Sleep(time.Millisecond)
			}
		}
		if mode == "wait" {
			time.Sleep(3 * time.Second)
			fmt.Printf("{\"requests\": %d, \"errors\": %d, \"bytes\": %.0f}\n", g, errs.Load(), (anonBytes()-m0)/float64(g))
			return
		}
		time.Sleep(300 * time.Millisecond)
		n, t, c := total.Load(), time.Now(), cpuTime()
		time.Sleep(*fDur)
		n, d, cpu := total.Load()-n, time.Since(t), cpuTime()-c
		fmt.Printf("{\"requests\": %d, \"errors\": %d, \"seconds\": %.3f, \"cpu_us\": %.4f, \"per_s\": %.0f}\n", n, errs.Load(),
			d.Seconds(), float64(cpu.Nanoseconds())/1e3/float64(n), float64(n)/d.Seconds())
	}
}
