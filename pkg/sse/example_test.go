package sse_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/tidemark/tidemark/pkg/sse"
)

func ExampleAppendEvent() {
	out := sse.AppendRetry(nil, 3*time.Second)
	out = sse.AppendEvent(out, sse.Event{
		Type: "greeting",
		Data: []byte("two\nlines"),
		ID:   []byte("1042-k7f3q9"),
	})
	_, _ = os.Stdout.Write(out)
	// Output:
	// retry: 3000
	// event: greeting
	// data: two
	// data: lines
	// id: 1042-k7f3q9
}

func ExampleDecoder() {
	stream := strings.NewReader(": welcome\n\nevent: greeting\ndata: hi\nid: 7\n\ndata: cut off")
	d := sse.NewDecoder(stream)
	d.OnComment = func(text []byte) { fmt.Printf("comment %q\n", text) }
	for {
		ev, err := d.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %s: %s\n", ev.ID, ev.Type, ev.Data)
	}
	fmt.Println("resume after", d.LastEventID())
	// Output:
	// comment "welcome"
	// 7 greeting: hi
	// resume after 7
}

func ExampleBinary() {
	frame := sse.AppendEvent(nil, sse.Event{Data: []byte{0xca, 0xfe}})
	fmt.Print(string(frame))
	ev, _ := sse.NewDecoder(strings.NewReader(string(frame))).Next()
	raw, ok := sse.Binary(ev.Data)
	fmt.Printf("%x %v\n", raw, ok)
	// Output:
	// data: data:application/octet-stream;base64,yv4=
	//
	// cafe true
}
