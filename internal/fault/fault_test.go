package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestError(t *testing.T) {
	cause := errors.New("connection refused")
	e := Wrap(cause, Unavailable, "the server %s did not answer", "x").WithFix("start it with %s", "berth serve").WithCode("down")
	wrapped := fmt.Errorf("apply: %w", e)
	if got, want := e.Error(), "the server x did not answer: connection refused"; got != want {
		t.Errorf("Error = %q, want %q", got, want)
	}
	if got, want := Wrap(cause, Invalid, "failed: connection refused").Error(), "failed: connection refused"; got != want {
		t.Errorf("Error = %q, want %q without the cause twice", got, want)
	}
	if !errors.Is(wrapped, cause) || !Is(wrapped, Unavailable) || Is(wrapped, Invalid) || Code(wrapped) != "down" {
		t.Errorf("wrapped error lost its cause, kind or code: %v", wrapped)
	}
	if f := From(wrapped); f != e || f.Fix != "start it with berth serve" {
		t.Errorf("From = %+v, want the fault itself", f)
	}
	if f := From(io.EOF); f.Kind != Internal || !errors.Is(f, io.EOF) || f.Message == io.EOF.Error() {
		t.Errorf("From(EOF) = %+v, want an internal fault with its cause for the log only", f)
	}
	if From(nil) != nil || Is(nil, Internal) || Code(nil) != "" || Code(io.EOF) != "" {
		t.Error("nil and foreign errors have a kind or code")
	}
	if got := New(Invalid, "100%% of %s", "it").Error(); got != "100% of it" {
		t.Errorf("New = %q", got)
	}
}
