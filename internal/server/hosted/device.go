package hosted

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/web"
)

// mountDevice registers the pages on which a person signs a device in (RFC 8628
// section 3.3): the code is entered, compared with what the device shows, and
// then the person signs in as always.
func (p *Pages) mountDevice(show, form func(string, route.Handler)) {
	show("GET /device", p.showDevice)
	form("POST /device", p.enterUserCode)
	show("GET /device/confirm", p.showDeviceConfirm)
	form("POST /device/confirm", p.confirmDevice)
	show("GET /device/success", p.deviceEnd(func(f web.Frame) web.Page { return web.DeviceDone{Frame: f} }))
	show("GET /device/denied", p.deviceEnd(func(f web.Frame) web.Page { return web.DeviceDenied{Frame: f} }))
}

// showDevice looks nothing up: a link with a code in it tells its sender nothing.
func (p *Pages) showDevice(w http.ResponseWriter, r *http.Request) error {
	p.browser(w, r)
	page := devicePage(r.URL.Query().Get("user_code"))
	return web.Write(w, http.StatusOK, page)
}

func devicePage(typed string) web.Device {
	if len(typed) > 32 {
		typed = ""
	}
	return web.Device{Frame: web.Frame{Brand: defaultBrand}, Form: web.Form{Action: "/device"}, UserCode: typed}
}

// enterUserCode finds the device. Codes that are tried from one address are
// counted, right or wrong (RFC 8628 section 5.1).
func (p *Pages) enterUserCode(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	page := devicePage(r.PostForm.Get(web.FieldUserCode))
	if err := p.Limits.CodeEntry.Take("device", route.ClientIP(r)); err != nil {
		return p.tooMany(w, r, page.Frame, err)
	}
	e, flow, err := p.Auth.BeginDevice(r.Context(), page.UserCode, p.browser(w, r))
	if errors.Is(err, store.ErrDevice) {
		page.CodeError = "No device waits for this code. Check it, or start again on the device."
		return web.Write(w, http.StatusUnprocessableEntity, page)
	}
	if err != nil {
		return err
	}
	sealed, err := p.Auth.SealFlow(flow)
	if err != nil {
		return err
	}
	return p.to(w, pageURL("/device/confirm", e, sealed))
}

// openDevice reads a flow that is for a device which still waits.
func (p *Pages) openDevice(w http.ResponseWriter, r *http.Request, sealed string) (*store.Env, *auth.Flow, web.DeviceConfirm, error) {
	e, flow, frame, err := p.open(w, r, sealed)
	if err == nil && (flow.Purpose == nil || flow.Purpose.DeviceID == "") {
		err = auth.ErrFlow
	}
	if err == nil {
		_, err = e.WaitingDevice(r.Context(), flow.Purpose.DeviceID)
	}
	if err != nil {
		return nil, nil, web.DeviceConfirm{}, err
	}
	app, err := p.Auth.AppOf(r.Context(), e, flow)
	return e, flow, web.DeviceConfirm{Frame: frame, UserCode: flow.Purpose.UserCode, Application: app.Name,
		Form: web.Form{Action: "/device/confirm", Hidden: []web.Field{{Name: "flow", Value: sealed}}}}, err
}

func (p *Pages) showDeviceConfirm(w http.ResponseWriter, r *http.Request) error {
	_, _, page, err := p.openDevice(w, r, r.URL.Query().Get("flow"))
	if err != nil {
		return err
	}
	return web.Write(w, http.StatusOK, page)
}

func (p *Pages) confirmDevice(w http.ResponseWriter, r *http.Request) error {
	if err := p.readForm(w, r); err != nil {
		return err
	}
	sealed := r.PostForm.Get("flow")
	e, flow, _, err := p.openDevice(w, r, sealed)
	if err != nil {
		return err
	}
	if r.PostForm.Get(web.FieldDecision) != web.DecisionAllow {
		return p.denyDevice(w, r, e, flow)
	}
	return p.to(w, pageURL("/sign-in", e, sealed))
}

func (p *Pages) denyDevice(w http.ResponseWriter, r *http.Request, e *store.Env, flow *auth.Flow) error {
	if err := p.Auth.DenyDevice(r.Context(), e, flow); err != nil {
		return err
	}
	return p.to(w, "/device/denied?"+url.Values{"client_id": {e.ClientID}}.Encode())
}

// deviceEnd is a page that tells how it ended. It says the same to everybody.
func (p *Pages) deviceEnd(page func(web.Frame) web.Page) route.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		e, err := p.DB.EnvByClientID(r.Context(), r.URL.Query().Get("client_id"))
		if fault.Is(err, fault.NotFound) {
			return web.Write(w, http.StatusOK, page(web.Frame{Brand: defaultBrand}))
		}
		if err != nil {
			return err
		}
		frame, err := p.frame(r.Context(), e, "")
		if err != nil {
			return err
		}
		return web.Write(w, http.StatusOK, page(frame))
	}
}
