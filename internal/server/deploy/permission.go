package deploy

import (
	"context"
	"net/http"
	"strings"

	"github.com/berthdev/berth/internal/deployment"
	"github.com/berthdev/berth/internal/store"
)

// patternKey is the context key of the route that a request came to.
type patternKey struct{}

func withPattern(r *http.Request) context.Context {
	return context.WithValue(r.Context(), patternKey{}, r.Pattern)
}

// needed are the actions that a restricted deploy key needs, all of them. Who
// may push functions can run any. A socket carries reads of variables and calls
// alike, so it takes what both take.
func needed(pattern string) []string {
	_, path, _ := strings.Cut(pattern, " ")
	switch {
	case strings.HasSuffix(path, "/list_environment_variables"):
		return []string{"deployment:env:view"}
	case strings.HasSuffix(path, "/update_environment_variables"):
		return []string{"deployment:env:write"}
	case path == "/api/stream_function_logs":
		return []string{"deployment:logs:view"}
	case path == "/api/v1/get_canonical_urls":
		return nil
	case strings.HasPrefix(path, "/api/deploy2/"), path == "/api/get_config_hashes", path == "/api/function", path == "/api/run_test_function":
		return []string{"deployment:deploy"}
	}
	return []string{"deployment:deploy", "deployment:env:view"}
}

// permitted refuses what the key that opened d is not for.
func permitted(ctx context.Context, d store.Deployment) *deployment.Refusal {
	pattern, _ := ctx.Value(patternKey{}).(string)
	for _, action := range needed(pattern) {
		if !d.May(action) {
			text := "You do not have permission to perform this operation (" + action + ")."
			return &deployment.Refusal{Status: http.StatusForbidden, Code: "Unauthorized", Message: text, Redacted: text}
		}
	}
	return nil
}
