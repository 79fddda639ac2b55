package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// The Go contestants of bench/tls.py. tls_fetch: -g connections to -addr; TLS_MODE "keep", "full", "resumed"; TLS_CA a file.
// tls_server: TLS_CERT and TLS_KEY.
func init() {
	reg["tls_fetch"] = func() {
		g := *fG
		mode := os.Getenv("TLS_MODE")
		pem, err := os.ReadFile(os.Getenv("TLS_CA"))
		pool := x509.NewCertPool()
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			log.Fatal("TLS_CA: no certificate")
		}
		conf := &tls.Config{RootCAs: pool}
		if mode == "resumed" {
			conf.ClientSessionCache = tls.NewLRUClientSessionCache(64)
		}
		tr := &http.Transport{MaxIdleConns: 0, MaxIdleConnsPerHost: g, DisableCompression: true, DisableKeepAlives: mode != "keep", TLSClientConfig: conf}
		cl := &http.Client{Transport: tr}
		url := "https://" + *fAddr + "/"
		var total, errs, full atomic.Int64
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
					if mode == "resumed" && !resp.TLS.DidResume {
						full.Add(1)
					}
					total.Add(1)
				}
			}()
			if i%8 == 7 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(300 * time.Millisecond)
		n, f, t, c := total.Load(), full.Load(), time.Now(), cpuTime()
		time.Sleep(*fDur)
		n, f = total.Load()-n, full.Load()-f
		d, cpu := time.Since(t), cpuTime()-c
		fmt.Printf("{\"requests\": %d, \"errors\": %d, \"seconds\": %.3f, \"cpu_us\": %.4f, \"per_s\": %.0f, \"not_resumed\": %d}\n", n, errs.Load(),
			d.Seconds(), float64(cpu.Nanoseconds())/1e3/float64(n), float64(n)/d.Seconds(), f)
	}
	reg["tls_server"] = func() {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		hello := []byte("Hello, World!")
		srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Write(hello)
		})}
		fmt.Println("ready", ln.Addr())
		log.Fatal(srv.ServeTLS(ln, os.Getenv("TLS_CERT"), os.Getenv("TLS_KEY")))
	}
}
