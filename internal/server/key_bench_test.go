package server_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// The set is served from memory; beside it a handler that writes the same
// bytes, on the same kind of connection.
func BenchmarkKeySet(b *testing.B) {
	k := newKeyed(b)
	resp, text := get(b, k.plain, k.s.URL()+"/sso/jwks/"+k.e.ClientID)
	if resp.StatusCode != http.StatusOK {
		b.Fatal(resp.Status)
	}
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(text))
	}))
	defer bare.Close()
	for name, u := range map[string]string{"server": k.s.URL() + "/sso/jwks/" + k.e.ClientID, "bare handler": bare.URL} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				c := &http.Client{Transport: &http.Transport{}}
				defer c.CloseIdleConnections()
				for pb.Next() {
					if resp, _ := get(b, c, u); resp.StatusCode != http.StatusOK {
						b.Errorf("status %s", resp.Status)
					}
				}
			})
		})
	}
}
