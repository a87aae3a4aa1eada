package web

import "io"

// Device asks for the code that a device without a browser shows (RFC 8628 section
// 3.3). It posts FieldUserCode.
type Device struct {
	Frame
	Form      Form
	UserCode  string // prefilled, from the last attempt
	Error     string
	CodeError string
}

// Render implements [Page].
func (p Device) Render(w io.Writer, nonce string) error {
	return view{
		file: "device.html", Marker: "device", Title: "Connect a device", Frame: p.Frame, Page: p,
		Failed: p.Error != "" || p.CodeError != "",
		Inputs: focusFirst(input{
			Name: FieldUserCode, Label: "Code on the device", Type: "text", Value: p.UserCode, Autocomplete: "off",
			Error: p.CodeError, Letters: true, Dir: "ltr",
		}),
	}.render(w, nonce)
}

// DeviceConfirm asks whether the device that shows UserCode may sign in as Email. Its
// buttons post FieldDecision. The code is shown once more, because a link with the
// code in it may come from somebody else (RFC 8628 section 5.4).
type DeviceConfirm struct {
	Frame
	Form        Form
	UserCode    string
	Application string // what asks, empty: only "a device"
	Email       string // who is signed in
	Error       string
	SignInURL   string // to sign in as somebody else; empty: no link
}

// Render implements [Page].
func (p DeviceConfirm) Render(w io.Writer, nonce string) error {
	return view{
		file: "device_confirm.html", Marker: "device", Title: "Connect this device?", Frame: p.Frame, Page: p, Failed: p.Error != "",
	}.render(w, nonce)
}

// DeviceDone says that the device is signed in.
type DeviceDone struct{ Frame }

// Render implements [Page].
func (p DeviceDone) Render(w io.Writer, nonce string) error {
	return view{
		file: "device_end.html", Marker: "device/success", Title: "Your device is connected", Frame: p.Frame, Page: p,
		Addition: "You can close this page and go on with the device.",
	}.render(w, nonce)
}

// DeviceDenied says that the device was refused.
type DeviceDenied struct{ Frame }

// Render implements [Page].
func (p DeviceDenied) Render(w io.Writer, nonce string) error {
	return view{
		file: "device_end.html", Marker: "device/denied", Title: "The device was not connected", Frame: p.Frame, Page: p,
		Addition: "It has no access to your account. If you did not expect the question, somebody may have sent you their code: you did well to refuse. You can close this page.",
	}.render(w, nonce)
}
