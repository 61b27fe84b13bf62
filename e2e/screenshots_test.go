package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/nats-io/nats.go"
)

// TestScreenshots writes the pictures of the README into the directory TIDEMARK_SCREENSHOTS
// (task screenshots).
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("TIDEMARK_SCREENSHOTS")
	if dir == "" {
		t.Skip("TIDEMARK_SCREENSHOTS names no directory for pictures")
	}
	b := newBrowser(t)
	s := serve(t, "--node.name=shore-1")
	page := b.open(t, s.url("/?user=42&subject=notifications.topic.%3E"))
	run(page, chromedp.EmulateViewport(1360, 1190))
	page.awaitState("Connected")
	p := newProducer(t, s)
	p.shop(60, 20*time.Second/60)
	run(page, chromedp.Click(`#cut`))
	page.awaitState("Cut")
	p.shop(9, 20*time.Millisecond)
	page.awaitState("Connected")
	p.shop(8, 500*time.Millisecond)
	run(page, chromedp.Click(`#publish-button`))
	page.await(`document.querySelector('#publish-note').textContent.startsWith('Stored at ')`)
	page.awaitNode("Stored", "1 – 78")
	page.screenshot(dir, "console-light", "light", 1360, 1190)
	page.screenshot(dir, "console-dark", "dark", 1360, 1190)
	run(page, chromedp.EmulateViewport(390, 844))
	eval[bool](page, `(document.querySelector('#watch').scrollIntoView(), true)`)
	page.screenshot(dir, "console-phone", "light", 390, 844)
}

// shop publishes events of a shop, with varying pauses for the chart.
func (p *producer) shop(n int, pause time.Duration) {
	p.t.Helper()
	for i := range n {
		order := 4100 + i
		events := []struct{ subject, typ, data string }{
			{"notifications.user.42", "order.placed", fmt.Sprintf(`{"order":%d,"items":%d,"total":"%d.90"}`, order, 1+i%4, 12+i)},
			{"notifications.topic.harbour", "tide", fmt.Sprintf(`{"level_cm":%d,"turning":%t}`, 180+i*7%90, i%9 == 0)},
			{"notifications.user.42", "order.shipped", fmt.Sprintf(`{"order":%d,"carrier":"sea freight"}`, order-3)},
			{"notifications.broadcast", "notice", `{"text":"The office closes at noon today"}`},
			{"notifications.topic.weather", "forecast", fmt.Sprintf(`{"wind_kn":%d,"sea":"moderate"}`, 8+i%13)},
		}
		e := events[[]int{0, 1, 2, 0, 1, 4, 0, 2, 1, 3}[i%10]]
		msg := nats.NewMsg(e.subject)
		msg.Data = []byte(e.data)
		msg.Header.Set("Event-Type", e.typ)
		if _, err := p.js.PublishMsg(p.t.Context(), msg); err != nil {
			p.t.Fatal(err)
		}
		time.Sleep(pause * time.Duration(1+i*i%5) / 3)
	}
}

// screenshot writes the picture of a window of this size.
func (p *tab) screenshot(dir, name, scheme string, width, height int64) {
	p.t.Helper()
	run(p, chromedp.EmulateViewport(width, height))
	run(p, func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return chromedp.Void{}, err
	})
	full, err := png.Decode(bytes.NewReader(run(p, chromedp.CaptureScreenshot())))
	if err != nil {
		p.t.Fatal(err)
	}
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, paletted(full)); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), small.Bytes(), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// paletted keeps the 256 most frequent colours: text on a plain ground needs no more, and the file has a third of
// the bytes.
func paletted(full image.Image) image.Image {
	counts := map[color.Color]int{}
	b := full.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			counts[full.At(x, y)]++
		}
	}
	common := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return counts[b] - counts[a] })
	small := image.NewPaletted(b, color.Palette(common[:min(256, len(common))]))
	draw.Draw(small, b, full, b.Min, draw.Src)
	return small
}
