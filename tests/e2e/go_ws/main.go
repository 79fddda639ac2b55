// golang.org/x/net/websocket against ours: go_ws ask URL, an echo's client; go_ws serve, an echo that prints "ready ADDRESS".
// tests/e2e/ws.py builds it, where the module is at hand, and runs it.
package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"golang.org/x/net/websocket"
)

func check(ok bool, what string, args ...any) {
	if !ok {
		fmt.Printf("go: "+what+"\n", args...)
		os.Exit(1)
	}
}

func ask(url string) {
	c, err := websocket.NewConfig(url, strings.Replace(strings.TrimSuffix(url, "/echo"), "ws", "http", 1))
	check(err == nil, "%v", err)
	c.Protocol = []string{"weft.v1"}
	ws, err := websocket.DialConfig(c)
	check(err == nil, "dial: %v", err)
	ws.MaxPayloadBytes = 1 << 24
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 1000000} {
		text, back := strings.Repeat("é", n/2), ""
		go websocket.Message.Send(ws, text)
		check(websocket.Message.Receive(ws, &back) == nil && back == text, "text of %d", n)
		data, got := bytes.Repeat([]byte{0xff}, n), []byte(nil)
		go websocket.Message.Send(ws, data)
		check(websocket.Message.Receive(ws, &got) == nil && bytes.Equal(got, data), "%d bytes", n)
	}
	check(ws.Close() == nil, "close")
	fmt.Println("fine")
}

func serve() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(err == nil, "%v", err)
	fmt.Println("ready", ln.Addr())
	s := websocket.Server{
		Handshake: func(c *websocket.Config, r *http.Request) error {
			if len(c.Protocol) > 0 {
				c.Protocol = c.Protocol[:1]
			}
			return nil
		},
		Handler: func(ws *websocket.Conn) {
			ws.MaxPayloadBytes = 1 << 24
			defer ws.Close() // else no close is answered
			echo := websocket.Codec{
				Marshal:   func(v any) ([]byte, byte, error) { m := v.(*message); return m.data, m.kind, nil },
				Unmarshal: func(data []byte, kind byte, v any) error { *v.(*message) = message{data, kind}; return nil },
			}
			for {
				var m message
				if echo.Receive(ws, &m) != nil || echo.Send(ws, &m) != nil {
					return
				}
			}
		},
	}
	http.Serve(ln, s)
}

type message struct {
	data []byte
	kind byte
}

func main() {
	if os.Args[1] == "ask" {
		ask(os.Args[2])
	} else {
		serve()
	}
}
