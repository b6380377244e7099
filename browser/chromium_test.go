package browser_test

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is the limit for what the page does within seconds. It is long because the
// machine may be busy.
const patience = time.Minute

// screenshots is the folder of the screenshots.
var screenshots = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("OTELPOOL_SCREENSHOTS"); dir != "" {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return "", err
		}
		return dir, os.MkdirAll(dir, 0o755)
	}
	return os.MkdirTemp("", "poolz-screenshots-")
})

// tab is a browser tab. It records requests and console errors.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu        sync.Mutex // guards requested and errors
	requested []string   // URLs of requests
	errors    []string   // errors and warnings in the console
}

// newTab starts a browser with one tab. The test fails if the tab sends a request to another
// origin, or has an error in its console.
func newTab(t *testing.T, origin string) *tab {
	t.Helper()
	b := newTabForAnyOrigin(t)
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, address := range b.requested {
			if u, err := url.Parse(address); err != nil || u.Scheme+"://"+u.Host != origin {
				t.Errorf("a request left the page's origin: %s", address)
			}
		}
		for _, e := range b.errors {
			t.Errorf("console: %s", e)
		}
		if len(b.requested) == 0 {
			t.Error("no request was recorded, not even for the page")
		}
	})
	return b
}

// newTabForAnyOrigin starts a browser with one tab, for pages that are not otelpool's.
func newTabForAnyOrigin(t *testing.T) *tab {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		const missing = "there is no Chromium; apt-get install --no-install-recommends chromium"
		if os.Getenv("OTELPOOL_REQUIRE_SERVERS") == "1" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(program),
		chromedp.Headless,
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.NoSandbox, // the sandbox does not work for root
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("hide-scrollbars", true),
	)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	b.do(chromedp.Navigate("about:blank"))
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// listen runs on the event loop of the tab.
func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requested = append(b.requested, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			b.errors = append(b.errors, string(e.Type))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.errors = append(b.errors, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

// do runs actions.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// get runs an action and returns its result.
func get[T any](b *tab, a chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, a)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// js returns the value of an expression as text.
func (b *tab) js(expression string) string {
	b.t.Helper()
	return get(b, chromedp.Evaluate[string]("String("+expression+")"))
}

// click clicks on the topmost element at the center of the selected one. It is one script, so
// that the page cannot change in between.
func (b *tab) click(selector string) {
	b.t.Helper()
	got := b.js(`(() => {
		const e = document.querySelector(` + quote(selector) + `);
		e.scrollIntoView({ block: "center" });
		const r = e.getBoundingClientRect();
		const hit = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
		if (!e.contains(hit)) return "there is " + hit?.outerHTML + " instead";
		hit.click();
		return "hit";
	})()`)
	if got != "hit" {
		b.t.Fatalf("click on %s: %s", selector, got)
	}
}

// until waits until an expression has a value.
func (b *tab) until(expression, want string) {
	b.t.Helper()
	got := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got = b.js(expression); got == want {
			return
		}
	}
	b.t.Fatalf("%s: %q, want %q", expression, got, want)
}

// refreshed waits until the page has refreshed itself twice: the first response may be older
// than the call.
func (b *tab) refreshed() {
	b.t.Helper()
	for range 2 {
		b.until(`document.querySelector("#clock").dateTime !== `+quote(b.js(`document.querySelector("#clock").dateTime`)), "true")
	}
}

func quote(s string) string { return "'" + s + "'" }

// screen sets the window's size and the color scheme.
func (b *tab) screen(width, height int64, scheme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		b.t.Fatal(err)
	}
}

// picture saves a screenshot of the whole page in both color schemes, and checks that nothing
// is wider than the window.
func (b *tab) picture(name string, width, height int64) {
	b.t.Helper()
	dir, err := screenshots()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, scheme := range []string{"light", "dark"} {
		b.screen(width, height, scheme)
		b.fits()
		file := filepath.Join(dir, strings.Join([]string{name, scheme}, "-")+".png")
		if err := os.WriteFile(file, get(b, chromedp.FullScreenshot(100)), 0o644); err != nil {
			b.t.Fatal(err)
		}
		b.t.Logf("picture: %s", file)
	}
	b.screen(width, height, "light")
}

// fits fails if the page is wider than the window, and names the elements.
func (b *tab) fits() {
	b.t.Helper()
	out := b.js(`[...document.querySelectorAll("body *")]
		.filter((e) => e.getClientRects().length && e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
		.filter((e) => { for (let p = e; p; p = p.parentElement) if (p.nodeName === "svg" || getComputedStyle(p).clipPath !== "none") return false; return true; })
		.map((e) => e.nodeName + "." + e.className).join(" ")`)
	overflow := b.js(`document.documentElement.scrollWidth > document.documentElement.clientWidth`)
	if out != "" || overflow != "false" {
		b.t.Errorf("the page is wider than the window: %s %s", overflow, out)
	}
}
