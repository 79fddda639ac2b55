package main

import (
	"fmt"
	"net"
)

// The Go contestant of bench/echo.py: a goroutine per connection that reads and writes back.
func init() {
	reg["echo_server"] = func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(err)
		fmt.Println("ready", l.Addr())
		for {
			c, err := l.Accept()
			must(err)
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					if _, err := c.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}
}
