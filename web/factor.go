package web

import (
	"html/template"
	"io"
	"strconv"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// TOTPEnroll asks a person to set up an authenticator app: by QR code, by a link that
// the device's own app opens, or by typing the secret. It posts FieldCode, the first
// code of the app.
type TOTPEnroll struct {
	Frame
	Form      Form
	URI       string // otpauth://totp/…, what the QR code holds
	Secret    string // base32, the same secret for typing
	Email     string // whose account it is
	Error     string
	CodeError string
	SignInURL string // to start over with another account; empty: no link
}

// Render implements [Page].
func (p TOTPEnroll) Render(w io.Writer, nonce string) error {
	inputs := appCodeInput(p.CodeError)
	if p.CodeError == "" {
		inputs[0].Focus = false // it would scroll past the QR code
	}
	return view{
		file: "totp_enroll.html", Marker: "mfa/enrollment", Title: "Set up two-step sign-in", Frame: p.Frame, Page: p,
		Failed: p.Error != "" || p.CodeError != "",
		Inputs: inputs,
		Addition: struct {
			QR     qrCode
			App    template.URL
			Groups []string
		}{drawQR(p.URI), appLink(p.URI), groups(p.Secret)},
	}.render(w, nonce)
}

// TOTPVerify asks for the code that the authenticator app shows. It posts FieldCode.
type TOTPVerify struct {
	Frame
	Form      Form
	Email     string
	Error     string
	CodeError string
	SignInURL string
}

// Render implements [Page].
func (p TOTPVerify) Render(w io.Writer, nonce string) error {
	return view{
		file: "totp_verify.html", Marker: "mfa/verification", Title: "Enter your code", Frame: p.Frame, Page: p,
		Failed: p.Error != "" || p.CodeError != "",
		Inputs: appCodeInput(p.CodeError),
	}.render(w, nonce)
}

func appCodeInput(problem string) []input {
	return focusFirst(input{
		Name: FieldCode, Label: "6-digit code from the app", Type: "text", Autocomplete: "one-time-code",
		Error: problem, Code: true, Dir: "ltr",
	})
}

// groups cuts a secret into fours, as people type it.
func groups(secret string) []string {
	var all []string
	runes := []rune(secret)
	for len(runes) > 4 {
		all, runes = append(all, string(runes[:4])), runes[4:]
	}
	if len(runes) > 0 {
		all = append(all, string(runes))
	}
	return all
}

// appLink returns uri when it is one that authenticator apps open, and "" otherwise.
func appLink(uri string) template.URL {
	const prefix = "otpauth://totp/"
	if !strings.HasPrefix(uri, prefix) || !only(uri[len(prefix):], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:@%+?&=") {
		return ""
	}
	return template.URL(uri) //nolint:gosec // checked here
}

// qrCode is a QR code as an SVG path of one unit per module.
type qrCode struct {
	Size int // edge with the quiet zone; 0: nothing to show
	Path string
}

// quietZone is the empty border that readers need, in modules (ISO/IEC 18004).
const quietZone = 4

// drawQR draws text, or nothing when it is empty or too long for a QR code.
func drawQR(text string) qrCode {
	if text == "" {
		return qrCode{}
	}
	code, err := qr.Encode(text, qr.M, qr.Unicode)
	if err != nil {
		return qrCode{}
	}
	edge := code.Bounds().Dx()
	var path strings.Builder
	for y := range edge {
		for x := 0; x < edge; x++ {
			start := x
			for x < edge && dark(code.At(x, y).RGBA()) {
				x++
			}
			if n := x - start; n > 0 {
				path.WriteString("M" + strconv.Itoa(start+quietZone) + " " + strconv.Itoa(y+quietZone) + "h" + strconv.Itoa(n) + "v1h-" + strconv.Itoa(n) + "z")
			}
		}
	}
	return qrCode{Size: edge + 2*quietZone, Path: path.String()}
}

func dark(r, _, _, _ uint32) bool { return r < 0x8000 }
