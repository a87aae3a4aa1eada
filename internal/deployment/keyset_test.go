package deployment

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadKeySet(t *testing.T) {
	const point = `"kty":"EC","crv":"P-256","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"`
	for name, c := range map[string]struct {
		body string
		want KeySet
		bad  bool
	}{
		"keys with and without an id":    {`{"keys":[{"kid":"a",` + point + `},{` + point + `}]}`, KeySet{KeyIDs: []string{"a"}, WithoutID: 1}, false},
		"an empty set":                   {`{"keys":[]}`, KeySet{}, false},
		"one unknown key spoils the set": {`{"keys":[{"kid":"a",` + point + `},{"kty":"LMS"}]}`, KeySet{}, true},
		"a page":                         {`<html>`, KeySet{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadKeySet([]byte(c.body))
			if (err != nil) != c.bad {
				t.Fatalf("ReadKeySet = %v, want an error: %v", err, c.bad)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("ReadKeySet (-want +got):\n%s", d)
			}
		})
	}
}
