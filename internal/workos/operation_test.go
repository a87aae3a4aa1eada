package workos

import "testing"

func TestFindOperation(t *testing.T) {
	for _, tt := range []struct{ method, path, want string }{
		{"GET", "/user_management/users", "GET /user_management/users"},
		{"GET", "/user_management/users/user_1", "GET /user_management/users/{id}"},
		{"GET", "/user_management/users/user_1/sessions", "GET /user_management/users/{id}/sessions"},
		{"GET", "/user_management/users/external_id/sessions", "GET /user_management/users/external_id/{external_id}"},
		{"GET", "/vault/v1/kv/name/metadata", "GET /vault/v1/kv/name/{name}"},
		{"POST", "/vault/v1/kv", "POST /vault/v1/kv"},
		{"PATCH", "/user_management/users/user_1", ""},
		{"GET", "/user_management/users/", ""},
		{"GET", "/", ""},
		{"GET", "", ""},
		{"GET", "//user_management", ""},
		{"GET", "/nothing/here", ""},
	} {
		o, ok := FindOperation(tt.method, tt.path)
		got := ""
		if ok {
			got = o.String()
		}
		if got != tt.want {
			t.Errorf("FindOperation(%s, %s) = %q, want %q", tt.method, tt.path, got, tt.want)
		}
	}
}

func FuzzFindOperation(f *testing.F) {
	for _, o := range Operations() {
		f.Add(o.Method, o.Path)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		if o, ok := FindOperation(method, path); ok && (o.Method != method || !o.fits(path)) {
			t.Errorf("FindOperation(%q, %q) = %v, which does not fit", method, path, o)
		}
	})
}

// Every operation of the list is found by its own path.
func TestOperationsAreDistinct(t *testing.T) {
	all := Operations()
	if len(all) != 212 {
		t.Errorf("Operations = %d, want the 212 of the document", len(all))
	}
	for _, o := range all {
		if got, ok := FindOperation(o.Method, o.Path); !ok || got != o {
			t.Errorf("FindOperation(%v) = %v, %t", o, got, ok)
		}
	}
}
