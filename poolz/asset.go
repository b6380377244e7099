package poolz

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"time"
)

//go:embed assets/poolz.css assets/poolz.js assets/icon.svg
var assetFiles embed.FS

// asset is a file of the page. Its tag is a hash of its content: a browser may keep
// the file under an address with the tag.
type asset struct {
	content     []byte
	contentType string
	tag         string
}

func newAssets() map[string]asset {
	all := map[string]asset{}
	for name, contentType := range map[string]string{
		"poolz.css": "text/css; charset=utf-8",
		"poolz.js":  "text/javascript; charset=utf-8",
		"icon.svg":  "image/svg+xml",
	} {
		content, _ := assetFiles.ReadFile("assets/" + name) // it is embedded
		sum := sha256.Sum256(content)
		all[name] = asset{content, contentType, hex.EncodeToString(sum[:8])}
	}
	return all
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("ETag", `"`+a.tag+`"`)
	w.Header().Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == a.tag {
		w.Header().Set("Cache-Control", "max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}
