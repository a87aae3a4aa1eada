package deploy

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/deployment/instance"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
)

// upload keeps the body as a file. The token in the URL is the permission.
func (c *call) upload() error {
	if err := c.i.CheckUpload(c.r.URL.Query().Get("token")); err != nil {
		return err
	}
	data, err := body(c.w, c.r, instance.MaxFile)
	if err != nil {
		return err
	}
	sum, err := digest(c.r.Header)
	if err != nil {
		return err
	}
	id, err := c.i.StoreFile(c.r.Context(), c.r.Header.Get("Content-Type"), data, sum)
	if err != nil {
		return err
	}
	return c.json(map[string]string{"storageId": id})
}

// digest returns the SHA-256 in hexadecimal that the Digest header (RFC 3230)
// gives for the body, or "".
func digest(h http.Header) (string, error) {
	for d := range strings.SplitSeq(h.Get("Digest"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		if !strings.EqualFold(name, "sha-256") {
			continue
		}
		sum, err := base64.StdEncoding.DecodeString(value)
		if err != nil || len(sum) != 32 {
			return "", fault.New(fault.Invalid, "The Digest header is not base64 of a SHA-256.").WithCode("BadDigest")
		}
		return hex.EncodeToString(sum), nil
	}
	return "", nil
}

// serveFile answers with a file. Its id, which nobody can guess, is the permission.
func (s *Surface) serveFile(w http.ResponseWriter, r *http.Request) error {
	i, release, err := s.open(r)
	if err != nil {
		return err
	}
	defer release()
	f, err := i.File(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	if f == nil {
		return fault.New(fault.NotFound, "The file was not found.").WithCode("FileNotFound")
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	if f.ContentType != "" {
		h.Set("Content-Type", f.ContentType)
	}
	if sum, err := hex.DecodeString(f.SHA256); err == nil {
		h.Set("Digest", "sha-256="+base64.StdEncoding.EncodeToString(sum))
	}
	h.Set("ETag", `"`+f.SHA256+`"`)
	h.Set("Cache-Control", "private, max-age=2592000")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.Bytes))
	return nil
}

// filesAndSockets serves two kinds of routes by one pattern: of GET
// /api/storage/{id} and GET /api/{version}/sync neither is more specific, which
// a mux refuses.
func (s *Surface) filesAndSockets(surface route.Surface, socket http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("version") != "storage" && r.PathValue("name") == "sync" {
			socket.ServeHTTP(w, r)
			return
		}
		err := error(fault.New(fault.NotFound, "%s %s is not a route of this deployment.", r.Method, r.URL.Path).WithCode("NotFound"))
		if r.PathValue("version") == "storage" {
			err = s.serveFile(w, r)
		}
		if err != nil {
			surface.Fail(w, r, err)
		}
	}
}
