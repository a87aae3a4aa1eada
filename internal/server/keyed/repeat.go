package keyed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"sync"

	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// maxIdempotencyKey bounds the Idempotency-Key that a request may carry;
// workos-go sends a UUID. A longer one is not looked at.
const maxIdempotencyKey = 255

// repeats lets requests with one Idempotency-Key pass one after the other.
type repeats struct{ turns [64]sync.Mutex }

// handle answers a POST that repeats an earlier one, key and body, as that one
// was answered, without doing it again. A repeat meanwhile waits. Failures are
// not kept: repeating them is another try. Without a key h simply runs.
func (p *repeats) handle(h Handler, e *store.Env, w http.ResponseWriter, r *http.Request) error {
	given := r.Header.Get("Idempotency-Key")
	if r.Method != http.MethodPost || given == "" || len(given) > maxIdempotencyKey {
		return h(e, w, r)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, route.MaxBody+1))
	if err != nil || len(body) > route.MaxBody {
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), r.Body)) // for h to refuse
		return h(e, w, r)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.Sum256([]byte(given + "\x00" + r.URL.RequestURI() + "\x00" + r.Header.Get("Content-Type") + "\x00" + string(body)))
	key := hex.EncodeToString(sum[:])
	turn := &p.turns[int(sum[0])%len(p.turns)]
	turn.Lock()
	defer turn.Unlock()
	kept, ok, err := e.Answered(r.Context(), key)
	if err != nil {
		return err
	}
	if ok {
		if len(kept.Body) > 0 {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(kept.Status)
		_, err := w.Write(kept.Body)
		return err
	}
	seen := &recorder{ResponseWriter: w, status: http.StatusOK}
	if err := h(e, seen, r); err != nil {
		return err
	}
	// Kept before it is sent: an answer that is lost on the way can be had again.
	if seen.status < 300 {
		if err := e.KeepAnswer(r.Context(), key, store.Answer{Status: seen.status, Body: seen.body.Bytes()}); err != nil {
			return err
		}
	}
	w.WriteHeader(seen.status)
	_, err = w.Write(seen.body.Bytes())
	return err
}

// recorder holds an answer back.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(data []byte) (int, error) { return r.body.Write(data) }
