package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/token"
)

// poolSize is how many ready key pairs a server keeps, so that a new
// environment can sign at once. Making one takes about a tenth of a second.
const poolSize = 8

// cachedSigners bounds the parsed private keys in memory; each has about 4 KiB.
const cachedSigners = 4096

// Keyring hands out the signers of environments. A key pair belongs to an
// environment from its first use on, not from its creation: ten thousand
// environments that nobody signs in to cost no key.
type Keyring struct {
	db   *store.DB
	log  *slog.Logger
	need chan struct{}

	mu      sync.Mutex
	signers map[string]*token.Signer // by environment id
}

// NewKeyring returns a Keyring over db.
func NewKeyring(db *store.DB, log *slog.Logger) *Keyring {
	return &Keyring{db: db, log: log, need: make(chan struct{}, 1), signers: map[string]*token.Signer{}}
}

// Signer returns the signer of an environment's current key.
func (k *Keyring) Signer(ctx context.Context, e *store.Env) (*token.Signer, error) {
	k.mu.Lock()
	s := k.signers[e.ID]
	k.mu.Unlock()
	if s != nil {
		return s, nil
	}
	key, err := e.SigningKey(ctx)
	if errors.Is(err, store.ErrNoReadyKey) {
		if key, err = token.NewKey(k.db.Now()); err == nil {
			key, err = e.PutSigningKey(ctx, key)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("signing key of %s: %w", e.ID, err)
	}
	select {
	case k.need <- struct{}{}:
	default:
	}
	if s, err = token.NewSigner(key); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.signers) >= cachedSigners {
		clear(k.signers)
	}
	k.signers[e.ID] = s
	return s, nil
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
		key, err := token.NewKey(k.db.Now())
		if err != nil {
			return err
		}
		if err := k.db.AddReadyKeys(ctx, key); err != nil {
			return err
		}
	}
}
