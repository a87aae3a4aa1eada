package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/berthdev/berth/internal/fault"
)

// HashParams are the parameters of argon2id (RFC 9106).
type HashParams struct {
	MemoryKiB   uint32
	Iterations  uint32
	Parallelism uint8
}

// DefaultHashParams is the OWASP minimum that needs the least memory per
// sign-in at full strength: 19 MiB, two passes, one lane.
var DefaultHashParams = HashParams{MemoryKiB: 19 * 1024, Iterations: 2, Parallelism: 1}

const (
	saltLength = 16
	hashLength = 32
)

// Hasher hashes and checks passwords. Each hash takes its parameters' memory,
// so only as many run at once as there are processors.
type Hasher struct {
	params HashParams
	slots  chan struct{}
	decoy  func() string
	rest   *time.Timer // gives memory back after a pause
}

// restAfter is the pause without hashes after which their memory, about 19 MiB
// each, goes back to the system. The runtime alone keeps it for minutes.
const restAfter = 3 * time.Second

// NewHasher returns a Hasher for new hashes with p; hashes made with other
// parameters still verify.
func NewHasher(p HashParams) *Hasher {
	h := &Hasher{params: p, slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)))}
	h.rest = time.AfterFunc(restAfter, debug.FreeOSMemory)
	h.rest.Stop()
	h.decoy = sync.OnceValue(func() string { return h.encode(make([]byte, saltLength), make([]byte, hashLength)) })
	return h
}

func (h *Hasher) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fault.Wrap(ctx.Err(), fault.Unavailable, "the request ended before the password could be checked")
	}
}

func (h *Hasher) leave() {
	<-h.slots
	h.rest.Reset(restAfter)
}

// Hash returns the PHC string of a password with a fresh salt.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	salt := make([]byte, saltLength)
	rand.Read(salt)
	return h.encode(salt, argon2.IDKey([]byte(password), salt, h.params.Iterations, h.params.MemoryKiB, h.params.Parallelism, hashLength)), nil
}

func (h *Hasher) encode(salt, sum []byte) string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.params.MemoryKiB, h.params.Iterations, h.params.Parallelism,
		enc.EncodeToString(salt), enc.EncodeToString(sum))
}

// Verify reports whether password has the given PHC string. An empty or
// unreadable one costs the same time and never verifies.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (bool, error) {
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	p, salt, want, ok := parsePHC(phc)
	if !ok {
		p, salt, want, _ = parsePHC(h.decoy())
	}
	got := argon2.IDKey([]byte(password), salt, p.Iterations, p.MemoryKiB, p.Parallelism, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && ok, nil
}

func parsePHC(phc string) (p HashParams, salt, sum []byte, ok bool) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, false
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.MemoryKiB, &p.Iterations, &p.Parallelism); n != 3 || err != nil {
		return p, nil, nil, false
	}
	// Bounds keep a damaged or imported row from taking all memory.
	if p.MemoryKiB < 8 || p.MemoryKiB > 1<<20 || p.Iterations < 1 || p.Iterations > 64 || p.Parallelism < 1 {
		return p, nil, nil, false
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
	sum, sumErr := base64.RawStdEncoding.DecodeString(parts[5])
	return p, salt, sum, saltErr == nil && sumErr == nil && len(salt) >= 8 && len(sum) >= 16 && len(sum) <= 64
}
