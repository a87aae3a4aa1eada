package store

import (
	"cmp"
	"sync"
)

// maxCached bounds a cache. An environment has less than a kilobyte unless its
// JWT template is long, an API key a tenth of that.
const maxCached = 4096

// cache keeps what every request reads. A row that was read before a change and
// arrives after it must not be kept, so a read tells which turn it began in and
// every change begins a new one.
type cache[K comparable, V any] struct {
	mu    sync.RWMutex
	turn  uint64
	kept  map[K]V
	limit int // 0: maxCached
}

func (c *cache[K, V]) get(key K) (v V, turn uint64, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok = c.kept[key]
	return v, c.turn, ok
}

func (c *cache[K, V]) put(key K, v V, turn uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn != turn {
		return
	}
	if c.kept == nil || len(c.kept) >= cmp.Or(c.limit, maxCached) {
		c.kept = map[K]V{}
	}
	c.kept[key] = v
}

func (c *cache[K, V]) forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	delete(c.kept, key)
}

func (c *cache[K, V]) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	clear(c.kept)
}

// cachedKey is an API key by the SHA-256 of its value.
type cachedKey struct {
	id, clientID string
	expires      int64 // milliseconds; 0 is never
}
