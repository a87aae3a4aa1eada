package authkit

import (
	"net/http"

	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// mountMail registers what travels by mail: magic auth, e-mail verification,
// password reset and change of address.
func (a *API) mountMail(on *keyed.Routes) {
	on.Handle("POST /user_management/magic_auth", a.createMagicAuth)
	on.Handle("GET /user_management/magic_auth/{id}", a.getMagicAuth)
	on.Handle("GET /user_management/email_verification/{id}", a.getEmailVerification)
	on.Handle("POST /user_management/users/{id}/email_verification/send", a.sendEmailVerification)
	on.Handle("POST /user_management/users/{id}/email_verification/confirm", a.confirmEmailVerification)
	on.Handle("POST /user_management/users/{id}/email_change/send", a.sendEmailChange)
	on.Handle("POST /user_management/users/{id}/email_change/confirm", a.confirmEmailChange)
	on.Handle("POST /user_management/password_reset", a.createPasswordReset)
	on.Handle("GET /user_management/password_reset/{id}", a.getPasswordReset)
	on.Handle("POST /user_management/password_reset/confirm", a.confirmPasswordReset)
}

func mailCode(object string, c identity.MailCode) workos.MailCode {
	return workos.MailCode{Object: object, ID: c.ID, UserID: c.UserID, Email: c.Email, Code: workos.Credential(c.Code),
		ExpiresAt: workos.At(c.ExpiresAt), CreatedAt: workos.At(c.CreatedAt), UpdatedAt: workos.At(c.CreatedAt)}
}

// emailBody is the body of calls that name an address.
type emailBody struct {
	Email           string `json:"email"`
	InvitationToken string `json:"invitation_token"`
}

func (a *API) createMagicAuth(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b emailBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := a.limitSend(e, identity.MagicAuth, b.Email); err != nil {
		return err
	}
	c, err := a.Auth.MagicAuth(r.Context(), e, b.Email)
	if fault.Code(err) == "email_invalid" {
		return workos.CodeAnswer(http.StatusUnprocessableEntity, "email_invalid", fault.From(err).Message).Write(w)
	}
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, mailCode("magic_auth", c))
}

func (a *API) getMagicAuth(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	c, err := e.MailCode(r.Context(), identity.MagicAuth, r.PathValue("id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, mailCode("magic_auth", c))
}

func (a *API) getEmailVerification(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	c, err := e.MailCode(r.Context(), identity.EmailVerification, r.PathValue("id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, mailCode("email_verification", c))
}

// userAnswer is the envelope of calls that return a changed user.
type userAnswer struct {
	User workos.User `json:"user"`
}

func (a *API) sendEmailVerification(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	u, err := e.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if u.EmailVerified {
		return workos.CodeAnswer(http.StatusBadRequest, "email_already_verified", "Email is already verified.").Write(w)
	}
	if err := a.limitSend(e, identity.EmailVerification, u.Email); err != nil {
		return err
	}
	if _, err := a.Auth.SendCode(r.Context(), e, u, identity.EmailVerification); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, userAnswer{User(u)})
}

type codeBody struct {
	Code workos.Credential `json:"code"`
}

func (a *API) confirmEmailVerification(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b codeBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if _, err := e.User(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	u, err := a.Auth.ConfirmEmail(r.Context(), e, r.PathValue("id"), string(b.Code))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, userAnswer{User(u)})
}

func (a *API) sendEmailChange(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b struct {
		NewEmail string `json:"new_email"`
	}
	if err := route.Read(r, &b); err != nil {
		return err
	}
	u, err := e.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := a.limitSend(e, identity.EmailChange, b.NewEmail); err != nil {
		return err
	}
	c, err := a.Auth.RequestEmailChange(r.Context(), e, u, b.NewEmail)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, workos.EmailChange{Object: "email_change", User: User(u), NewEmail: c.Email, ExpiresAt: workos.At(c.ExpiresAt), CreatedAt: workos.At(c.CreatedAt)})
}

func (a *API) confirmEmailChange(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b codeBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	u, err := e.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if u, err = a.Auth.ConfirmEmailChange(r.Context(), e, u, string(b.Code)); err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, workos.EmailChangeConfirmation{Object: "email_change_confirmation", User: User(u)})
}

func (a *API) passwordReset(e *store.Env, c identity.MailCode) workos.PasswordReset {
	return workos.PasswordReset{Object: "password_reset", ID: c.ID, UserID: c.UserID, Email: c.Email, Token: workos.Credential(c.Code),
		URL: workos.Credential(a.Auth.ResetURL(e, c.Code)), ExpiresAt: workos.At(c.ExpiresAt), CreatedAt: workos.At(c.CreatedAt)}
}

func (a *API) createPasswordReset(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b emailBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if err := a.limitSend(e, identity.PasswordReset, b.Email); err != nil {
		return err
	}
	c, err := a.Auth.RequestReset(r.Context(), e, b.Email)
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, a.passwordReset(e, c))
}

func (a *API) getPasswordReset(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	c, err := e.MailCode(r.Context(), identity.PasswordReset, r.PathValue("id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, a.passwordReset(e, c))
}

func (a *API) confirmPasswordReset(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Token       workos.Credential `json:"token"`
		NewPassword workos.Credential `json:"new_password"`
	}
	if err := route.Read(r, &b); err != nil {
		return err
	}
	u, err := a.Auth.ResetPassword(r.Context(), e, string(b.Token), string(b.NewPassword))
	if f := fault.From(err); err != nil && f.Kind == fault.Invalid {
		return workos.CodeAnswer(http.StatusBadRequest, "password_strength_error", "Password does not meet strength requirements.",
			workos.ErrorDetail{Code: f.Code, Message: f.Message}).Write(w)
	}
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, userAnswer{User(u)})
}
