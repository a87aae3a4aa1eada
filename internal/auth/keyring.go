package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/token"
)

// poolSize is how many ready key pairs a server keeps, so that a new
// environment can sign at once. Making one takes about a tenth of a second.
const poolSize = 8

// cachedSigners bounds the environments whose parsed private key and key set
// are in memory; each has about 6 KiB.
const cachedSigners = 4096

// Keyring hands out the signers of environments and the sets of their public
// keys. A key pair belongs to an environment from its first use on, not from
// its creation: ten thousand environments that nobody signs in to cost no key.
//
// Both are cached until a key changes. A read that began before a change must
// not be kept after it, so every change begins a new turn, and what was read in
// an older one is used once and forgotten.
type Keyring struct {
	db   *store.DB
	log  *slog.Logger
	need chan struct{}

	mu     sync.RWMutex
	turn   uint64
	cached map[string]keys // by environment id
}

// keys is what is cached of an environment; each member may be nil.
type keys struct {
	signer *token.Signer
	set    *JWKS
}

// JWKS is an encoded JSON Web Key Set (RFC 7517 section 5). It is never empty.
type JWKS struct {
	Body      []byte
	ETag      string // of Body, quoted
	algorithm string // of the current key
}

// NewKeyring returns a Keyring over db.
func NewKeyring(db *store.DB, log *slog.Logger) *Keyring {
	return &Keyring{db: db, log: log, need: make(chan struct{}, 1), cached: map[string]keys{}}
}

func (k *Keyring) peek(e *store.Env) (keys, uint64) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.cached[e.ID], k.turn
}

func (k *Keyring) keep(e *store.Env, turn uint64, change func(*keys)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.turn != turn {
		return
	}
	if len(k.cached) >= cachedSigners {
		clear(k.cached)
	}
	c := k.cached[e.ID]
	change(&c)
	k.cached[e.ID] = c
}

func (k *Keyring) forget(environmentIDs ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.turn++
	for _, id := range environmentIDs {
		delete(k.cached, id)
	}
}

// Signer returns the signer of an environment's current key, of the algorithm
// that its settings ask for.
func (k *Keyring) Signer(ctx context.Context, e *store.Env) (*token.Signer, error) {
	for range 8 { // each turn but the last means that somebody changed the settings
		c, turn := k.peek(e)
		if c.signer != nil && c.signer.Algorithm() == e.Settings.Tokens.SigningAlgorithm() {
			return c.signer, nil
		}
		key, changed, err := e.SigningKey(ctx)
		if errors.Is(err, store.ErrNoReadyKey) {
			if key, err = token.NewKey(key.Algorithm, k.db.Now()); err == nil {
				key, changed, err = e.PutSigningKey(ctx, key)
			}
		}
		if errors.Is(err, store.ErrNoReadyKey) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("signing key of %s: %w", e.ID, err)
		}
		if changed {
			k.forget(e.ID)
			select {
			case k.need <- struct{}{}:
			default:
			}
			_, turn = k.peek(e)
			if again, _, err := e.SigningKey(ctx); err == nil {
				key = again
			}
		}
		s, err := token.NewSigner(key)
		if err != nil {
			return nil, err
		}
		k.keep(e, turn, func(c *keys) { c.signer = s })
		return s, nil
	}
	return nil, fault.New(fault.Unavailable, "the algorithm of the environment is being changed")
}

// JWKS returns the public keys of an environment. It makes the environment's
// key when there is none, so that the set never is empty.
func (k *Keyring) JWKS(ctx context.Context, e *store.Env) (*JWKS, error) {
	c, _ := k.peek(e)
	if c.set != nil && c.set.algorithm == e.Settings.Tokens.SigningAlgorithm() {
		return c.set, nil
	}
	if _, err := k.Signer(ctx, e); err != nil {
		return nil, err
	}
	_, turn := k.peek(e)
	public, err := e.PublicKeys(ctx)
	if err != nil {
		return nil, err
	}
	if len(public) == 0 {
		return nil, fault.New(fault.NotFound, "no environment has the client ID %q", e.ClientID).WithCode("client_not_found") // deleted meanwhile
	}
	texts := make([]string, len(public))
	for i, key := range public {
		texts[i] = key.PublicJWK
	}
	body := []byte(`{"keys":[` + strings.Join(texts, ",") + `]}`)
	sum := sha256.Sum256(body)
	set := &JWKS{Body: body, ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`, algorithm: public[0].Algorithm}
	k.keep(e, turn, func(c *keys) { c.set = set })
	return set, nil
}

// Rotate replaces the environment's key, with notice or at once; see
// [store.Env.RotateSigningKey].
func (k *Keyring) Rotate(ctx context.Context, e *store.Env, atOnce bool) error {
	key, err := token.NewKey(e.Settings.Tokens.SigningAlgorithm(), k.db.Now())
	if err != nil {
		return err
	}
	defer k.forget(e.ID)
	if !atOnce {
		// The key that signs now is in the set before the one that follows it.
		if _, err := k.Signer(ctx, e); err != nil {
			return err
		}
	}
	return e.RotateSigningKey(ctx, key, atOnce)
}

// Advance lets next keys sign and removes retired ones, as their times come.
func (k *Keyring) Advance(ctx context.Context) error {
	changed, err := k.db.AdvanceKeys(ctx)
	if len(changed) > 0 {
		k.forget(changed...)
	}
	return err
}

// Run keeps the pool of ready keys filled until ctx ends.
func (k *Keyring) Run(ctx context.Context) error {
	for {
		if err := k.fill(ctx); err != nil && ctx.Err() == nil {
			k.log.ErrorContext(ctx, "the pool of signing keys could not be filled", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-k.need:
		case <-time.After(time.Minute):
		}
	}
}

func (k *Keyring) fill(ctx context.Context) error {
	for {
		n, err := k.db.ReadyKeys(ctx)
		if err != nil || n >= poolSize || ctx.Err() != nil {
			return err
		}
		key, err := token.NewKey(token.RS256, k.db.Now())
		if err != nil {
			return err
		}
		if err := k.db.AddReadyKeys(ctx, key); err != nil {
			return err
		}
	}
}
