package demo

import (
	"net/http"
	"testing"
	"time"
)

func TestServerDiesWithADemoThatIsKilled(t *testing.T) {
	cmd, _, r := kept(t)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	deadline := time.After(10 * time.Second)
	for {
		resp, err := http.Get(r.Server + "/berth/v1/health")
		if err != nil {
			return
		}
		resp.Body.Close()
		select {
		case <-deadline:
			t.Fatalf("the server at %s outlives its demo", r.Server)
		case <-time.After(10 * time.Millisecond): // the kernel's signal has no other sign
		}
	}
}
