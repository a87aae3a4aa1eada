package convex

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/secret"
)

func TestParseDeployKey(t *testing.T) {
	tests := []struct {
		value      string
		want       Key // without Value
		authorizes bool
		text       string
	}{
		{"", Key{}, false, "no deploy key"},
		{"<ignore_deploy_key>", Key{}, false, "no deploy key"},
		{"prod:quick-otter-456|s3cret", Key{Class: ClassDeployment, Type: Prod, DeploymentName: "quick-otter-456"}, true, "prod deploy key for quick-otter-456"},
		{"dev:happy-animal-123|s3cret", Key{Class: ClassDeployment, Type: Dev, DeploymentName: "happy-animal-123"}, true, "dev deploy key for happy-animal-123"},
		{"preview:calm-fox-701|s3cret", Key{Class: ClassDeployment, Type: Preview, DeploymentName: "calm-fox-701"}, false, "preview deploy key for calm-fox-701"},
		{"custom:calm-fox-701|s3cret", Key{Class: ClassDeployment, Type: Custom, DeploymentName: "calm-fox-701"}, false, "custom deploy key for calm-fox-701"},
		{"calm-fox-701|s3cret", Key{Class: ClassDeployment, Type: Prod, DeploymentName: "calm-fox-701"}, false, "prod deploy key for calm-fox-701"},
		{"calm-fox-701|s3:cret", Key{Class: ClassDeployment, Type: Prod, DeploymentName: "calm-fox-701"}, false, "prod deploy key for calm-fox-701"},
		{"preview:acme:web|s3cret", Key{Class: ClassPreview, Type: Preview, Team: "acme", Project: "web"}, true, "preview deploy key for acme/web"},
		{"project:acme:web|s3cret", Key{Class: ClassProject, Team: "acme", Project: "web"}, true, "project key for acme/web"},
		{"project:whatever|s3cret", Key{Class: ClassProject}, true, "project key"},
		{"prod:a:b|s3cret", Key{Class: ClassDeployment, Type: Prod, DeploymentName: "b"}, true, "prod deploy key for b"},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			got, err := ParseDeployKey(tt.value)
			if err != nil {
				t.Fatalf("ParseDeployKey = %v, want a key", err)
			}
			want := tt.want
			if want.Class != ClassNone {
				want.Value = secret.String(tt.value)
			}
			if got != want {
				t.Errorf("ParseDeployKey = %+v, want %+v", got, want)
			}
			if got.Authorizes() != tt.authorizes {
				t.Errorf("Authorizes = %v, want %v", got.Authorizes(), tt.authorizes)
			}
			if got.String() != tt.text {
				t.Errorf("String = %q, want %q", got, tt.text)
			}
			encoded, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			for _, printed := range []string{fmt.Sprintf("%v %+v %#v %s", got, got, got, got), string(encoded)} {
				if strings.Contains(printed, "s3") {
					t.Errorf("the key prints its secret: %s", printed)
				}
			}
		})
	}
}

func TestParseDeployKeyRefusals(t *testing.T) {
	tests := []struct{ value, code, text string }{
		{"<missing_deploy_key:Set CONVEX_DEPLOY_KEY in Vercel>", "missing_deploy_key", "Set CONVEX_DEPLOY_KEY in Vercel"},
		{"s3cret", "malformed_deploy_key", "the Convex deploy key has no | between its name and its secret"},
		{"prod:quick-otter-456|", "malformed_deploy_key", "the Convex deploy key has no secret after its |"},
		{"|s3cret", "malformed_deploy_key", "the Convex deploy key names no deployment"},
		{"prod:|s3cret", "malformed_deploy_key", "the Convex deploy key names no deployment"},
		{"preview::web|s3cret", "malformed_deploy_key", "the Convex deploy key is a preview key without team or project"},
		{`"prod:quick-otter-456|s3cret"`, "malformed_deploy_key", "the Convex deploy key holds blanks or quotes"},
		{"prod:quick-otter-456|s3cret\n", "malformed_deploy_key", "the Convex deploy key holds blanks or quotes"},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			key, err := ParseDeployKey(tt.value)
			if key != (Key{}) || !fault.Is(err, fault.Invalid) || fault.Code(err) != tt.code || err.Error() != tt.text {
				t.Errorf("ParseDeployKey = %v, %v, want %s %q", key, err, tt.code, tt.text)
			}
		})
	}
}

func TestParseDeployment(t *testing.T) {
	for value, want := range map[string]DeploymentRef{
		"dev:happy-animal-123 # team: acme, project: web": {Dev, "happy-animal-123"},
		"prod:quick-otter-456":                            {Prod, "quick-otter-456"},
		"happy-animal-123":                                {"", "happy-animal-123"},
		"odd:happy-animal-123":                            {"", "happy-animal-123"},
		"local:local-acme-web":                            {"local", "local-acme-web"},
		"":                                                {},
	} {
		if diff := cmp.Diff(want, ParseDeployment(value)); diff != "" {
			t.Errorf("ParseDeployment(%q) (-want +got):\n%s", value, diff)
		}
	}
}

func FuzzParseDeployKey(f *testing.F) {
	for _, seed := range []string{"prod:a|b", "preview:t:p|b", "project:t:p|b", "a|b", "<missing_deploy_key:x>", "::|", "|"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		key, err := ParseDeployKey(value)
		if err != nil {
			_, after, found := strings.Cut(value, "|")
			if found && len(after) > 20 && !strings.HasPrefix(value, missingMarker) && strings.Contains(err.Error(), after) {
				t.Errorf("ParseDeployKey(%q) = %v, prints the secret", value, err)
			}
			return
		}
		if (key.Class == ClassNone) != (key.Value == "") {
			t.Errorf("ParseDeployKey(%q) = %v, want a class and a value or none", value, key)
		}
		if key.Class == ClassDeployment && (key.DeploymentName == "" || strings.ContainsAny(key.DeploymentName, "|:")) {
			t.Errorf("ParseDeployKey(%q) names %q", value, key.DeploymentName)
		}
	})
}
