package browser_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// What TestPictures needs: the folder for the pictures, and the program jaeger, unless it is
// on the path.
const (
	picturesEnv = "OTELPOOL_PICTURES"
	jaegerEnv   = "OTELPOOL_JAEGER"
)

// The duration of each part of the run.
const (
	loadOnly  = time.Minute      // load alone
	exhausted = 90 * time.Second // with ten streams
	after     = 20 * time.Second // load alone
)

// TestPictures makes the pictures of docs/operating.md from a run of the example, in which
// ten streams join the load and leave again: a graph from Prometheus' own page, the page of
// poolz during the incident, and traces from Jaeger afterwards. It takes three minutes and
// two more programs, and does not run in CI.
func TestPictures(t *testing.T) {
	dir := os.Getenv(picturesEnv)
	if dir == "" {
		t.Skip(picturesEnv + " names no folder")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := startRun(t, cmp.Or(os.Getenv(jaegerEnv), "jaeger"), exhausted)
	began := time.Now()
	r.wait(loadOnly)
	streamsJoined := time.Now()
	leave := r.streams(10)

	b := newTab(t, r.example)
	b.screen(1280, 900, "light")
	b.do(chromedp.Navigate(r.example + "/debug/poolz/"))
	b.until(state, "exhausted")
	r.wait(10 * time.Second)
	// The streams with a pinned connection run a statement now and then.
	b.until(`[...document.querySelectorAll(".groups td[data-label=phases]")].map((d) => d.textContent).join(", ")`, "4 rows, 3 tx, 3 pinned")
	b.fits()
	b.paste(filepath.Join(dir, "poolz.png"),
		part{"header.top", "table.holders"}, part{"section.history", "section.history .charts"})

	b = newTabForAnyOrigin(t) // now, because its start would show up as load in the last part
	r.wait(time.Until(streamsJoined.Add(exhausted)))
	leave()
	r.wait(after)
	b.screen(1000, 900, "light")
	b.do(chromedp.Navigate(r.prometheus + "/classic/graph?" + url.Values{
		"g0.expr": {panel(t, "Held, by phase")}, "g0.tab": {"0"}, "g0.stacked": {"1"},
		"g0.range_input": {fmt.Sprintf("%ds", int(time.Since(began).Seconds())-5)}, "g0.step_input": {"1"},
	}.Encode()))
	b.until(`document.querySelectorAll("#graph0 .legend .line").length`, "4")
	b.js(`(() => { const e = document.querySelector("#expr0"); e.style.height = e.scrollHeight + 2 + "px"; e.blur(); })()`)
	b.paste(filepath.Join(dir, "panel.png"), part{"#expr0", "#expr0"}, part{"#graph0 .graph_area", "#graph0 .legend"})

	starved, holder := r.starved(streamsJoined.Add(exhausted / 3))
	origin := drawing(t, starved, holder)
	b = newTab(t, origin)
	b.screen(1040, 600, "light")
	b.do(chromedp.Navigate(origin))
	b.fits()
	b.paste(filepath.Join(dir, "trace.png"), part{"html", "html"})
}

// panel is the first expression of a panel of the dashboard, with the variables replaced as
// Grafana does if the example is scraped every second.
func panel(t *testing.T, title string) string {
	t.Helper()
	content, err := os.ReadFile("../docs/dashboards/otelpool-pool.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(content, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		if p.Title == title {
			return strings.NewReplacer("$__rate_interval", "4s", "$job", service, "$instance", ".+", "$pool", service).Replace(p.Targets[0].Expr)
		}
	}
	t.Fatalf("the dashboard has no panel %q", title)
	return ""
}

// part is a part of a page: its full width, from the top of one element to the bottom of
// another.
type part struct{ from, to string }

// margin is the space around a part.
const margin = 6

// paste saves parts of the page, one below the other, with a dashed line between them.
func (b *tab) paste(file string, parts ...part) {
	b.t.Helper()
	var cuts []image.Rectangle
	for _, p := range parts {
		var r image.Rectangle
		where := b.js(`(() => {
			const [from, to] = [` + quote(p.from) + `, ` + quote(p.to) + `].map((s) => document.querySelector(s).getBoundingClientRect());
			return [from.top + scrollY, to.bottom + scrollY].map(Math.round).join(" ");
		})()`)
		if _, err := fmt.Sscan(where, &r.Min.Y, &r.Max.Y); err != nil {
			b.t.Fatalf("%v: %s: %v", p, where, err)
		}
		r.Min.Y, r.Max.Y = max(r.Min.Y-margin, 0), r.Max.Y+margin
		cuts = append(cuts, r)
	}
	page, err := png.Decode(bytes.NewReader(get(b, chromedp.FullScreenshot(100))))
	if err != nil {
		b.t.Fatal(err)
	}
	const gap = 9
	all := image.Rect(0, 0, page.Bounds().Dx(), gap*(len(cuts)-1))
	for _, r := range cuts {
		all.Max.Y += r.Dy()
	}
	pasted := image.NewRGBA(all)
	draw.Draw(pasted, all, image.White, image.Point{}, draw.Src)
	y := 0
	for i, r := range cuts {
		if i > 0 {
			for x := 0; x < all.Max.X; x += 8 {
				draw.Draw(pasted, image.Rect(x, y+gap/2, x+4, y+gap/2+1), image.NewUniform(color.Gray{0xa0}), image.Point{}, draw.Src)
			}
			y += gap
		}
		draw.Draw(pasted, image.Rect(0, y, all.Max.X, y+r.Dy()), page, r.Min, draw.Src)
		y += r.Dy()
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, fewColors(pasted)); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.t.Logf("picture: %s, %v, %d KB", file, all.Max, out.Len()/1000)
}

// fewColors reduces a picture to its 256 most frequent colors. For a page the difference is
// invisible, and the file is less than half the size.
func fewColors(img *image.RGBA) *image.Paletted {
	count := map[color.RGBA]int{}
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			count[img.RGBAAt(x, y)]++
		}
	}
	most := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int { return count[b] - count[a] })
	var palette color.Palette
	for _, c := range most[:min(len(most), 256)] {
		palette = append(palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	for _, c := range most {
		nearest[c] = uint8(palette.Index(c))
	}
	few := image.NewPaletted(img.Rect, palette)
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			few.SetColorIndex(x, y, nearest[img.RGBAAt(x, y)])
		}
	}
	return few
}
