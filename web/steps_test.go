package web

import (
	"bytes"
	"image"
	"image/color"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/boombuler/barcode/qr"
	"golang.org/x/net/html"
)

func sample(t *testing.T, name string) *html.Node {
	t.Helper()
	for _, s := range Gallery() {
		if s.Name == name {
			root, err := html.Parse(strings.NewReader(renderPage(t, s.Page)))
			if err != nil {
				t.Fatal(err)
			}
			return root
		}
	}
	t.Fatalf("Gallery() has no sample %q", name)
	return nil
}

func all(root *html.Node, element string) []*html.Node {
	var found []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == element {
			found = append(found, n)
		}
	}
	return found
}

func TestStepPagesHaveTheirMarkers(t *testing.T) {
	for name, want := range map[string]string{
		"mfa-enrollment": "mfa/enrollment", "mfa-verification": "mfa/verification", "magic-code": "magic-code", "organization-selection": "organization-selection",
		"device": "device", "device-confirm": "device", "device-done": "device/success", "device-denied": "device/denied", "consent": "application-authorization",
	} {
		if got := attr(all(sample(t, name), "body")[0], "data-hak-page"); got != want {
			t.Errorf("marker of %s = %q, want %q", name, got, want)
		}
	}
}

// The path is painted as a browser would paint it and compared with the code itself.
func TestQRCodePaintsItsText(t *testing.T) {
	const uri = "otpauth://totp/Acme:ada@example.com?secret=JBSWY3DPEHPK3PXP&issuer=Acme"
	got := drawQR(uri)
	want, err := qr.Encode(uri, qr.M, qr.Unicode)
	if err != nil {
		t.Fatal(err)
	}
	edge := want.Bounds().Dx()
	if got.Size != edge+2*quietZone {
		t.Fatalf("Size = %d, want %d", got.Size, edge+2*quietZone)
	}
	painted := image.NewGray(image.Rect(0, 0, got.Size, got.Size))
	for i := range painted.Pix {
		painted.Pix[i] = 0xff
	}
	runs := regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(got.Path, -1)
	var drawn bytes.Buffer
	for _, r := range runs {
		drawn.WriteString(r[0])
		x, _ := strconv.Atoi(r[1])
		y, _ := strconv.Atoi(r[2])
		n, _ := strconv.Atoi(r[3])
		if r[3] != r[4] {
			t.Errorf("run %s does not close", r[0])
		}
		for i := range n {
			painted.SetGray(x+i, y, color.Gray{})
		}
	}
	if drawn.String() != got.Path {
		t.Fatal("the path holds more than runs")
	}
	for y := range got.Size {
		for x := range got.Size {
			inside := x >= quietZone && y >= quietZone && x < edge+quietZone && y < edge+quietZone
			want := inside && dark(want.At(x-quietZone, y-quietZone).RGBA())
			if got := painted.GrayAt(x, y).Y == 0; got != want {
				t.Fatalf("module %d,%d dark = %v, want %v", x, y, got, want)
			}
		}
	}
}

func TestQRCodeOfNothingIsNone(t *testing.T) {
	for _, text := range []string{"", strings.Repeat("x", 5000)} {
		if got := drawQR(text); got.Size != 0 {
			t.Errorf("drawQR of %d bytes has size %d, want 0", len(text), got.Size)
		}
	}
	if n := len(all(sample(t, "mfa-enrollment-no-qr"), "svg")); n != 0 {
		t.Errorf("page without URI has %d images, want 0", n)
	}
}

func TestEnrollmentShowsTheSecretInFours(t *testing.T) {
	root := sample(t, "mfa-enrollment")
	var parts []string
	for _, n := range all(root, "code") {
		if attr(n, "class") == "secret" {
			for _, s := range all(n, "span") {
				parts = append(parts, text(s))
			}
		}
	}
	if got, want := strings.Join(parts, "|"), "JBSW|Y3DP|EHPK|3PXP|JBSW|Y3DP|EHPK|3PXP"; got != want {
		t.Errorf("secret = %q, want %q", got, want)
	}
	svg := all(root, "svg")
	if len(svg) != 1 || attr(svg[0], "role") != "img" || attr(svg[0], "aria-label") == "" {
		t.Errorf("QR code = %v, want one image with a name", svg)
	}
}

func TestOnlyAuthenticatorLinksAreLinked(t *testing.T) {
	for uri, want := range map[string]bool{
		"otpauth://totp/Acme:ada@example.com?secret=A&issuer=Acme": true,
		"otpauth://hotp/Acme:ada?secret=A":                         false,
		"javascript:alert(1)":                                      false,
		"otpauth://totp/\"><script>":                               false,
		"":                                                         false,
	} {
		if got := appLink(uri) != ""; got != want {
			t.Errorf("appLink(%q) links = %v, want %v", uri, got, want)
		}
	}
}

func TestMagicCodeButtonSkipsThePassword(t *testing.T) {
	for _, b := range all(sample(t, "sign-in"), "button") {
		if attr(b, "formaction") == "/magic-code/send" {
			if !hasAttr(b, "formnovalidate") {
				t.Error("the browser would ask for the password first")
			}
			return
		}
	}
	t.Error("sign-in has no button for a code")
}

func TestButtonsSayWhatIsChosen(t *testing.T) {
	for name, want := range map[string][]string{
		"organization-selection": {"organization_id=org_01", "organization_id=org_02", "organization_id=org_03", "organization_id=org_04"},
		"device-confirm":         {"decision=allow", "decision=deny"},
		"consent":                {"decision=allow", "decision=deny"},
	} {
		var got []string
		for _, b := range all(sample(t, name), "button") {
			got = append(got, attr(b, "name")+"="+attr(b, "value"))
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("buttons of %s = %v, want %v", name, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]string{
		-time.Second: "just now", 4 * time.Second: "just now", 5 * time.Second: "5 s ago", 61 * time.Second: "1 min ago",
		59 * time.Minute: "59 min ago", 23 * time.Hour: "23 h ago", 24 * time.Hour: "14 Jan 2026",
	} {
		if got := (InboxPage{Now: now}).Age(Mail{SentAt: now.Add(-ago)}); got != want {
			t.Errorf("Age of a mail %v old = %q, want %q", ago, got, want)
		}
	}
}
