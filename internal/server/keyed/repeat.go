package keyed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
)

// maxIdempotencyKey bounds the Idempotency-Key that a request may carry;
// workos-go sends a UUID. A longer one is not looked at.
const maxIdempotencyKey = 255

// Repeats answers a request that repeats an earlier one by its Idempotency-Key
// as that one was answered, without doing it again. The zero value is ready.
type Repeats struct{ turns [64]sync.Mutex }

// Do runs h, or answers what h wrote for the same request within that time: one
// with the same key, address, credential and body, in the same environment. A
// repeat meanwhile waits. Failures are not kept: repeating them is another try.
// A request without a key, or one that is no POST, simply runs.
func (p *Repeats) Do(h Handler, e *store.Env, within time.Duration, w http.ResponseWriter, r *http.Request) error {
	given := r.Header.Get("Idempotency-Key")
	if r.Method != http.MethodPost || given == "" || len(given) > maxIdempotencyKey {
		return h(e, w, r)
	}
	body, err := Buffer(r)
	if err != nil {
		return err
	}
	parts, err := json.Marshal([]string{given, r.URL.RequestURI(), r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(parts)
	key := hex.EncodeToString(sum[:])
	turn := &p.turns[int(sum[0])%len(p.turns)]
	turn.Lock()
	defer turn.Unlock()
	kept, ok, err := e.Answered(r.Context(), key, within)
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

// Buffer reads the body of a request, of route.MaxBody bytes at most, and puts
// it back so that it can be read again. Errors have the code invalid_request.
func Buffer(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, route.MaxBody+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the request body broke off").WithCode("invalid_request")
	}
	if len(body) > route.MaxBody {
		return nil, fault.New(fault.Invalid, "the request body is larger than %d bytes", route.MaxBody).WithCode("invalid_request")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

// recorder holds an answer back.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(data []byte) (int, error) { return r.body.Write(data) }
