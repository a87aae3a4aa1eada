package authkit

import (
	"net/http"

	"github.com/berthdev/berth/internal/auth"
	"github.com/berthdev/berth/internal/fault"
	"github.com/berthdev/berth/internal/identity"
	"github.com/berthdev/berth/internal/server/keyed"
	"github.com/berthdev/berth/internal/server/route"
	"github.com/berthdev/berth/internal/store"
	"github.com/berthdev/berth/internal/workos"
)

// mountFactors registers second factors and their challenges.
func (a *API) mountFactors(on *keyed.Routes) {
	on.Handle("POST /user_management/users/{id}/auth_factors", a.enrollUserFactor)
	on.Handle("GET /user_management/users/{id}/auth_factors", a.listFactors)
	on.Handle("POST /auth/factors/enroll", a.enrollFactor)
	on.Handle("GET /auth/factors/{id}", a.getFactor)
	on.Handle("DELETE /auth/factors/{id}", a.deleteFactor)
	on.Handle("POST /auth/factors/{id}/challenge", a.challengeFactor)
	on.Handle("POST /auth/challenges/{id}/verify", a.verifyChallenge)
}

func factor(f identity.Factor) workos.AuthFactor {
	return workos.AuthFactor{Object: "authentication_factor", ID: f.ID, Type: "totp", UserID: f.UserID,
		TOTP: workos.TOTP{Issuer: f.Issuer, User: f.Account}, CreatedAt: workos.At(f.CreatedAt), UpdatedAt: workos.At(f.UpdatedAt)}
}

// newFactor shows a factor with its secret: only the answer of its creation does.
func newFactor(f identity.Factor) (workos.AuthFactor, error) {
	out := factor(f)
	key, err := auth.KeyOf(f, true)
	out.TOTP.Secret, out.TOTP.QRCode, out.TOTP.URI = workos.Credential(f.Secret), workos.Credential(key.QR), workos.Credential(key.URI)
	return out, err
}

func challenge(c identity.Challenge) workos.AuthChallenge {
	return workos.AuthChallenge{Object: "authentication_challenge", ID: c.ID, FactorID: c.FactorID,
		ExpiresAt: workos.At(c.ExpiresAt), CreatedAt: workos.At(c.CreatedAt), UpdatedAt: workos.At(c.UpdatedAt)}
}

// maxFactorText bounds issuer and account: they must fit into a QR code.
const maxFactorText = 128

// wantedFactor checks the members that both calls share.
func wantedFactor(req workos.EnrollFactorRequest) (identity.Factor, error) {
	f := identity.Factor{Issuer: req.TOTPIssuer, Account: req.TOTPUser}
	switch {
	case req.Type == "":
		return f, fault.New(fault.Invalid, "type is required").WithCode("invalid_request_parameters")
	case req.Type != "totp":
		return f, fault.New(fault.Invalid, "Factors of type %q are not supported by Berth; totp is.", req.Type).WithCode("invalid_request_parameters")
	case len(f.Issuer) > maxFactorText || len(f.Account) > maxFactorText:
		return f, fault.New(fault.Invalid, "totp_issuer and totp_user have at most %d bytes", maxFactorText).WithCode("invalid_request_parameters")
	case req.TOTPSecret == "":
		return f, nil
	}
	var err error
	f.Secret, err = auth.CheckTOTPSecret(string(req.TOTPSecret))
	return f, err
}

func (a *API) enrollUserFactor(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req workos.EnrollFactorRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	u, err := e.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	f, err := wantedFactor(req)
	if err != nil {
		return err
	}
	f.UserID = u.ID
	if f.Account == "" {
		f.Account = u.Email
	}
	f, c, err := a.Auth.EnrollFactor(r.Context(), e, f)
	if err != nil {
		return err
	}
	out := workos.FactorEnrollment{Challenge: challenge(c)}
	if out.Factor, err = newFactor(f); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return route.JSON(w, http.StatusCreated, out)
}

// enrollFactor makes a factor for the MFA API, whose users need not be known here.
func (a *API) enrollFactor(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var req workos.EnrollFactorRequest
	if err := route.Read(r, &req); err != nil {
		return err
	}
	f, err := wantedFactor(req)
	if err != nil {
		return err
	}
	if f.Issuer == "" || f.Account == "" {
		return fault.New(fault.Invalid, "totp_issuer and totp_user are required").WithCode("invalid_request_parameters")
	}
	f.UserID = req.UserID
	f, _, err = a.Auth.EnrollFactor(r.Context(), e, f)
	if fault.Is(err, fault.NotFound) {
		return workos.MessageAnswer(http.StatusUnprocessableEntity, "User not found: '"+req.UserID+"'.").Write(w)
	}
	if err != nil {
		return err
	}
	out, err := newFactor(f)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return route.JSON(w, http.StatusCreated, out)
}

func (a *API) listFactors(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	p, err := keyed.Page(r)
	if err != nil {
		return err
	}
	if _, err := e.User(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	list, before, after, err := e.Factors(r.Context(), r.PathValue("id"), p)
	if err != nil {
		return err
	}
	out := make([]workos.AuthFactor, len(list))
	for i, f := range list {
		out[i] = factor(f)
	}
	return route.JSON(w, http.StatusOK, workos.NewList(out, before, after))
}

func (a *API) getFactor(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	f, err := e.Factor(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusOK, factor(f))
}

func (a *API) deleteFactor(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	if err := e.DeleteFactor(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) challengeFactor(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	c, err := e.AddChallenge(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, challenge(c))
}

// verifyChallenge answers 201 for right and wrong codes alike; valid tells them
// apart. A code that was used before is wrong. A challenge that cannot be
// answered any more is a failure.
func (a *API) verifyChallenge(e *store.Env, w http.ResponseWriter, r *http.Request) error {
	var b codeBody
	if err := route.Read(r, &b); err != nil {
		return err
	}
	if b.Code == "" {
		return fault.New(fault.Invalid, "code is required").WithCode("invalid_request_parameters")
	}
	c, _, err := e.Challenge(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if !c.VerifiedAt.IsZero() {
		return workos.CodeAnswer(http.StatusUnprocessableEntity, "authentication_challenge_previously_verified",
			"The authentication challenge '"+c.ID+"' has already been verified.").Write(w)
	}
	err = a.Auth.AnswerChallenge(r.Context(), e, c.ID, string(b.Code))
	switch fault.Code(err) {
	case "invalid_one_time_code", "one_time_code_previously_used":
		return route.JSON(w, http.StatusCreated, workos.VerifyChallengeResponse{Challenge: challenge(c)})
	case "one_time_code_expired":
		return workos.CodeAnswer(http.StatusUnprocessableEntity, "authentication_challenge_expired", "The authentication challenge '"+c.ID+"' has expired.").Write(w)
	}
	if err != nil {
		return err
	}
	if c, _, err = e.Challenge(r.Context(), c.ID); err != nil {
		return err
	}
	return route.JSON(w, http.StatusCreated, workos.VerifyChallengeResponse{Challenge: challenge(c), Valid: true})
}
