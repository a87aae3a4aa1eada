package web

import (
	"crypto/sha256"
	_ "embed" // the two asset files
	"encoding/hex"
	"net/http"
	"strconv"
)

// AssetsPath is the path below which Assets serves; mount it there.
const AssetsPath = "/berth/assets/"

var (
	//go:embed static/berth.css
	stylesheet []byte
	//go:embed static/icon.svg
	icon []byte
)

var (
	stylesheetPath = AssetsPath + "berth." + contentHash(stylesheet) + ".css"
	iconPath       = AssetsPath + "icon." + contentHash(icon) + ".svg"
)

// StylesheetPath returns the path of the stylesheet. Its name changes with its
// content, so it may be cached for ever.
func StylesheetPath() string { return stylesheetPath }

// IconPath returns the path of Berth's own icon, an SVG image.
func IconPath() string { return iconPath }

// Assets serves the stylesheet and the icon under AssetsPath, with a year of
// immutable caching. Every other path is a plain 404.
func Assets() http.Handler {
	type asset struct {
		contentType string
		content     []byte
	}
	assets := map[string]asset{
		stylesheetPath: {"text/css; charset=utf-8", stylesheet},
		iconPath:       {"image/svg+xml", icon},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.contentType)
		h.Set("Content-Length", strconv.Itoa(len(a.content)))
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method == http.MethodGet {
			_, _ = w.Write(a.content) // the client may be gone; nobody is left to tell
		}
	})
}

func contentHash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:6])
}
